import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import { TRANSPORT } from '../../../src/doors/attempt/upstream.ts';
import { readEnvoyState } from '../../../src/doors/doctor/envoy-state.ts';
import { plaintext } from '../../../src/doors/doctor/plaintext.ts';
import { generateEnvoy } from '../../../src/doors/generate/generate.ts';
import { configOf } from '../../support/generate-config.ts';

for (const door of ['check', 'push', 'attempt'] as const) {
  test(`${door}: a cluster that carries a credential without TLS is told, unless declared or on loopback`, () => {
    const sketch = { name: 'orders', hosts: ['orders.prod.svc.cluster.local'] };
    const found = (allowPlaintext: boolean, address: string, tls?: { ca: string }) => {
      const upstream = { address, port: 80, ...(tls ? { tls } : {}) };
      const upstreams = { 'orders.prod.svc.cluster.local': upstream };
      const bootstrap: unknown = parse(generateEnvoy(configOf([sketch]), { door, upstreams }));
      return plaintext(configOf([{ ...sketch, allowPlaintext }]), readEnvoyState({}, bootstrap, {})).map(
        ({ severity, what }) => `${severity} ${what}`,
      );
    };
    const [only, ...others] = found(false, '10.0.0.1');
    assert.match(only!, /^error cluster .*: the credential of policy orders leaves by it without TLS/);
    assert.deepEqual(others, []);
    assert.deepEqual(found(true, '10.0.0.1'), []);
    assert.deepEqual(found(false, '127.0.0.1'), []);
    assert.deepEqual(found(false, '10.0.0.1', { ca: '/ca' }), []);
  });
}

/** What the doctor says of one Envoy, its policy `orders` not allowed in plain text. */
function said(...parts: object[]): string[] {
  const config = configOf([
    { name: 'orders', hosts: ['orders.prod.svc.cluster.local'], allowPlaintext: false },
  ]);
  return plaintext(config, readEnvoyState({}, { parts }, {})).map(
    ({ severity, what }) => `${severity} ${what}`,
  );
}

const TLS = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext';
const RAW = {
  name: 'envoy.transport_sockets.raw_buffer',
  typed_config: { '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer' },
};
const tlsOf = (validation: object) => ({
  name: 'tls',
  typed_config: { '@type': TLS, common_tls_context: validation },
});
const cluster = (name: string, more: object) => ({
  '@type': 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
  name,
  ...more,
});
const marked = { metadata: { filter_metadata: { bearerd: { policy: 'orders' } } } };
const AUTHORITY = { validation_context: { trusted_ca: { filename: '/ca' } } };

test('a socket that encrypts nothing counts as none, a wrapped one as what is in it', () => {
  const wrapped = (inner: object) => ({
    name: 'proxy_protocol',
    typed_config: { '@type': 'x.ProxyProtocolUpstreamTransport', transport_socket: inner },
  });
  for (const socket of [RAW, wrapped(RAW)]) {
    assert.match(said(cluster('a', { ...marked, transport_socket: socket }))[0]!, /^error .* without TLS/);
  }
  for (const socket of [tlsOf(AUTHORITY), wrapped(tlsOf(AUTHORITY)), { name: 'alts' }]) {
    assert.deepEqual(said(cluster('a', { ...marked, transport_socket: socket })), []);
  }
});

test('TLS that verifies nobody is told', () => {
  const socket = (validation: object) => ({ ...marked, transport_socket: tlsOf(validation) });
  const [only, ...others] = said(cluster('a', socket({ tls_params: {} })));
  assert.match(only!, /^error cluster a: the credential of policy orders goes to whoever answers/);
  assert.deepEqual(others, []);
  for (const validation of [
    { validation_context_sds_secret_config: { name: 'ROOTCA' } },
    { combined_validation_context: { validation_context_sds_secret_config: { name: 'file-root:system' } } },
    { combined_validation_context: { default_validation_context: AUTHORITY.validation_context } },
    { validation_context: { system_root_certs: {} } },
  ]) {
    assert.deepEqual(said(cluster('a', socket(validation))), []);
  }
});

test('a cluster of a mesh is found by the mark of its virtual host, whose names a dump hides', () => {
  const host = {
    name: 'orders',
    domains: ['orders.prod.svc.cluster.local'],
    typed_per_filter_config: { 'envoy.filters.http.ext_authz': { check_settings: {} } },
    routes: [{ route: { cluster: 'outbound|80||orders' } }],
  };
  assert.match(said(host, cluster('outbound|80||orders', {}))[0]!, /without TLS/);
  const byEndpoint = { transport_socket_matches: [{ name: 'tlsMode-istio' }, { name: 'tlsMode-disabled' }] };
  assert.deepEqual(said(host, cluster('outbound|80||orders', byEndpoint)), []);
});

test('a processor is found without any mark of its cluster, and told where it is silent about the connection', () => {
  const processor = (...metadata: object[]) => ({
    typed_extension_protocol_options: {
      http: {
        http_filters: [
          {
            typed_config: {
              '@type': 'x.ext_proc.v3.ExternalProcessor',
              grpc_service: { initial_metadata: [{ key: 'bearerd-policy', value: 'orders' }, ...metadata] },
            },
          },
        ],
      },
    },
  });
  assert.match(said(cluster('a', processor()))[0]!, /^error .* without TLS/);
  const secured = { transport_socket: tlsOf(AUTHORITY) };
  assert.match(
    said(cluster('a', { ...processor(), ...secured }))[0]!,
    /^warning cluster a: its processor does not tell/,
  );
  assert.deepEqual(said(cluster('a', { ...processor(...TRANSPORT), ...secured })), []);
});
