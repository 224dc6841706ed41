import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import { readEnvoyState } from '../../../src/doors/doctor/envoy-state.ts';
import { findings } from '../../../src/doors/doctor/findings.ts';
import { statistics } from '../../../src/doors/doctor/statistics.ts';
import { generateEnvoy } from '../../../src/doors/generate/generate.ts';
import { configOf } from '../../support/generate-config.ts';

const config = configOf([{ name: 'orders', hosts: ['orders.example.com'] }]);
const told = (...parts: object[]) =>
  findings(config, readEnvoyState({}, { parts }, {})).map(({ what }) => what);

test('every way to print a header with a credential is told, also of a header that a policy names', () => {
  const [policy] = config.outbound;
  const inject = { ...policy!.inject, headers: [{ name: 'x-legacy', prefix: '', basic: undefined }] };
  const legacy = { ...config, outbound: [{ ...policy!, inject }] };
  const printed = (part: object) =>
    findings(legacy, readEnvoyState({}, { part }, {})).filter(({ what }) => /prints a header/.test(what))
      .length;
  for (const format of [
    '%REQ(authorization)%',
    '%REQ(X-LEGACY):10%',
    '%REQUEST_HEADER(Authorization)%',
    '%REQ(X-User?AUTHORIZATION)%',
    '%REQ(:PATH)% %REQUEST_HEADER(X-A?cookie):3%',
  ]) {
    assert.equal(printed({ json_format: { a: format } }), 1, format);
    assert.equal(printed({ json_format: { a: ['x', format] } }), 1, format);
  }
  assert.equal(printed({ additional_request_headers_to_log: ['x-a', 'Proxy-Authorization'] }), 1);
  assert.equal(printed({ custom_tags: [{ tag: 'who', request_header: { name: 'x-legacy' } }] }), 1);
  for (const format of ['%REQ(:PATH)%', '%REQ(X-REQUEST-ID?X-B3)%', '%RESP(authorization)%', 'authorization'])
    assert.equal(printed({ inline_string: format }), 0, format);
  assert.equal(printed({ descriptors: [{ request_header: { name: 'authorization' } }] }), 0);
});

test('an injector of another’s, as before a migration, is not judged', () => {
  const TYPE = 'type.googleapis.com/envoy.extensions';
  const injector = (credential: object) => ({
    name: 'c',
    typed_extension_protocol_options: {
      http: {
        http_filters: [
          {
            typed_config: {
              '@type': `${TYPE}.filters.http.credential_injector.v3.CredentialInjector`,
              credential: { typed_config: credential },
            },
          },
        ],
      },
    },
  });
  const of = (...parts: object[]) => told(...parts).filter((what) => what.startsWith('cluster c'));
  assert.deepEqual(
    of(
      injector({ '@type': `${TYPE}.http.injected_credentials.oauth2.v3.OAuth2` }),
      injector({ credential: { name: 'own', sds_config: { path_config_source: { path: '/x' } } } }),
    ),
    [],
  );
  const sds_config = {
    api_config_source: { grpc_services: [{ envoy_grpc: { cluster_name: 'bearerd_xds' } }] },
  };
  assert.match(of(injector({ credential: { name: 'orders', sds_config } })).join(), /has not come/);
});

test('an expression of an Envoy costs what RE2 costs, whatever it is', (t) => {
  const guarded = {
    ...configOf([
      { name: 'orders', hosts: ['orders.example.com'], guard: { percent: 5, requests: 100, goodAfterMs: 1 } },
    ]),
    envoyAdmin: { kind: 'tcp', host: '127.0.0.1', port: 15000 } as const,
  };
  const bootstrap = parse(generateEnvoy(guarded, { door: 'push' })) as object;
  const patterns = [{ safe_regex: { regex: '(([a-z._0-9]+)+)+!' } }];
  const stats_config = { stats_matcher: { inclusion_list: { patterns } } };
  const begun = performance.now();
  const [only] = statistics(guarded, readEnvoyState({}, { ...bootstrap, stats_config }, {}));
  const ms = performance.now() - begun;
  t.diagnostic(`${ms.toFixed(0)} ms`);
  assert.match(only!.what, /drops upstream_rq_completed/);
  assert.ok(ms < 5_000, `${ms} ms`);
});
