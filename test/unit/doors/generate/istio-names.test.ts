// Names of certificates in what is generated for Istio: kept where the clusters are known, stated where the host is, said where neither.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { parseConfig } from '../../../../src/config/parse.ts';
import { readClusterDump } from '../../../../src/doors/generate/istio/cluster-dump.ts';
import { type GenerateIstioOptions, generateIstio } from '../../../../src/doors/generate/istio/istio.ts';
import { GenerateError } from '../../../../src/doors/generate/problems.ts';
import { HTTP_OPTIONS } from '../../../../src/doors/transport.ts';
import { ISTIO_OPTIONS } from '../../../support/istio-options.ts';

const SERVICE = 'orders.shop.svc.cluster.local';
const BY_HOST = { auto_sni: true, auto_san_validation: true };

function text(options: Partial<GenerateIstioOptions>, hosts = 'services: [orders.shop]'): string {
  const config = parseConfig(
    `version: 1
listen: { check: "unix:///run/bearerd/check.sock", xds: "unix:///run/bearerd/xds.sock" }
sources: { a: { static: { value: { file: /key } } } }
outbound: [{ name: orders, match: { ${hosts} }, inject: { source: a } }]`,
    'bearerd.yaml',
  );
  return generateIstio(config, { ...ISTIO_OPTIONS, door: 'push', ...options });
}

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: Readonly<Record<string, unknown>>;
}

const manifests = (...args: Parameters<typeof text>): Manifest[] =>
  parseAllDocuments(text(...args)).map((document) => document.toJS() as Manifest);

/** Which clusters are patched, each with its check of the host's name. */
function patched(...args: Parameters<typeof text>): unknown[] {
  const { spec } = manifests(...args).find(({ metadata }) => metadata.name === 'bearerd-upstreams')!;
  return (spec['configPatches'] as { match: { cluster: object }; patch: { value: never } }[]).map(
    ({ match, patch }) => [
      match.cluster,
      patch.value['typed_extension_protocol_options'][HTTP_OPTIONS]['upstream_http_protocol_options'],
    ],
  );
}

const clustersOf = (named: Readonly<Record<string, object>>) =>
  readClusterDump(
    Object.entries(named).map(([name, own]) => ({ cluster: { name: `outbound|${name}`, ...own } })),
  );
const tls = (context: object, upstream?: object) => ({
  transport_socket: {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
      ...context,
    },
  },
  typed_extension_protocol_options: {
    [HTTP_OPTIONS]: { explicit_http_config: {}, upstream_http_protocol_options: upstream },
  },
});
const combined = (name: string, names: readonly string[] = []) => ({
  common_tls_context: {
    combined_validation_context: {
      default_validation_context: { match_subject_alt_names: names.map((exact) => ({ exact })) },
      validation_context_sds_secret_config: { name },
    },
  },
});
const OWN = tls(combined('file-root:/ca'), BY_HOST);
const MESH = tls({ sni: 'outbound_.80_._.orders', ...combined('ROOTCA', ['spiffe://a']) });

function refusal(...args: Parameters<typeof text>): string {
  try {
    text(...args);
  } catch (error) {
    assert.ok(error instanceof GenerateError);
    return error.problems.join('\n');
  }
  return '';
}

test('ports and subsets that say different things of HTTP have a patch each, by name, and else there is one', () => {
  const both = clustersOf({ [`80||${SERVICE}`]: MESH, [`80|v1|${SERVICE}`]: OWN, [`443||${SERVICE}`]: OWN });
  assert.deepEqual(patched({ clusterOptions: both }), [
    [{ name: `outbound|80||${SERVICE}` }, undefined],
    [{ name: `outbound|80|v1|${SERVICE}` }, BY_HOST],
    [{ name: `outbound|443||${SERVICE}` }, BY_HOST],
  ]);
  const one = clustersOf({ [`80||${SERVICE}`]: OWN, [`80|v1|${SERVICE}`]: OWN, '80||other': MESH });
  assert.deepEqual(patched({ clusterOptions: one }), [[{ service: SERVICE }, BY_HOST]]);
  const port = 'services: ["orders.shop:443"]';
  assert.deepEqual(patched({ clusterOptions: both }, port), [
    [{ service: SERVICE, portNumber: 443 }, BY_HOST],
  ]);
});

test('a cluster whose TLS verifies nobody or checks no name is refused with the field of its rule, by any door', () => {
  for (const door of ['check', 'push'] as const) {
    for (const [own, said] of [
      [tls({}), /^host orders\..* verifies nobody, .* caCertificates, and no insecureSkipVerify, under tls/],
      [
        tls(combined('file-root:/ca')),
        /checks no name .* subjectAltNames: \[orders\.shop\.svc\.cluster\.local\]/,
      ],
      [tls({ sni: 'x', ...combined('file-root:/ca') }), /checks no name .* subjectAltNames: \[x\] under tls/],
    ] as const)
      assert.match(refusal({ door, clusterOptions: clustersOf({ [`80||${SERVICE}`]: own }) }), said);
    for (const own of [OWN, MESH, tls(combined('ROOTCA')), tls(combined('file-root:/ca', ['x']))])
      assert.equal(refusal({ door, clusterOptions: clustersOf({ [`80||${SERVICE}`]: own }) }), '');
  }
  const outside = 'hosts: [api.example.com]';
  const own = tls({ sni: 'x', ...combined('file-root:system') });
  const clusterOptions = clustersOf({ '80||api.example.com': own });
  assert.match(refusal({ clusterOptions }, outside), /subjectAltNames: \[x\]/);
});

test('a host outside whose cluster has no TLS yet, or another name, is checked as it will be', () => {
  const outside = 'hosts: [api.example.com]';
  const of = (own: object) =>
    patched({ clusterOptions: clustersOf({ '80||api.example.com': own }) }, outside);
  const plain = { typed_extension_protocol_options: { [HTTP_OPTIONS]: { explicit_http_config: {} } } };
  assert.deepEqual(of(plain), [[{ service: 'api.example.com' }, BY_HOST]]);
  const clusterOptions = clustersOf({ '80||api.example.com': plain });
  assert.match(text({ clusterOptions }, outside), /^# NO TLS in --from-cluster: api\.example\.com\. /m);
  assert.deepEqual(of(tls({ sni: 'x', ...combined('file-root:/ca', ['x']) })), [
    [{ service: 'api.example.com' }, undefined],
  ]);
});

test('a service whose TLS is stated gets a rule with its name, for its port alone and for this namespace alone', () => {
  const stated = { tls: { [SERVICE]: { ca: '/ca' } } };
  const rules = (...args: Parameters<typeof text>) =>
    manifests(...args).filter(({ kind }) => kind === 'DestinationRule' || kind === 'ServiceEntry');
  const names = {
    mode: 'SIMPLE',
    caCertificates: '/ca',
    sni: SERVICE,
    subjectAltNames: [SERVICE],
  };
  const specs = (...args: Parameters<typeof text>) => rules(...args).map(({ spec }) => spec);
  for (const context of ['sidecar', 'egress'] as const) {
    const host = { host: SERVICE, exportTo: ['.'] };
    assert.deepEqual(specs({ ...stated, context }), [{ ...host, trafficPolicy: { tls: names } }]);
    assert.deepEqual(specs({ ...stated, context }, 'services: ["orders.shop:443"]'), [
      { ...host, trafficPolicy: { portLevelSettings: [{ port: { number: 443 }, tls: names }] } },
    ]);
  }
  assert.deepEqual(rules({}), []);
  assert.match(
    refusal({ tls: { 'orders.shop': { ca: '/ca' } } }),
    /--tls orders\.shop is no host of a policy/,
  );
});

test('services of which nothing is known are said on the first lines, where a patch takes a check away', () => {
  const said = (options: Partial<GenerateIstioOptions>) => /^# NO NAME CHECKED: orders/m.test(text(options));
  const clusterOptions = clustersOf({ [`80||${SERVICE}`]: OWN });
  assert.deepEqual(
    [
      {},
      { door: 'attempt' },
      { door: 'check' },
      { clusterOptions },
      { tls: { [SERVICE]: { ca: '/ca' } } },
    ].map((options) => said(options as Partial<GenerateIstioOptions>)),
    [true, true, false, false, false],
  );
});

test('endpoints of a mesh without TLS are refused where the dump has them', () => {
  const name = `outbound|80||${SERVICE}`;
  const cluster = {
    name,
    transport_socket_matches: [
      { match: { tlsMode: 'istio' }, transport_socket: MESH.transport_socket },
      { match: {}, transport_socket: { name: 'envoy.transport_sockets.raw_buffer' } },
    ],
  };
  const endpoint = (address: string, labels: object) => ({
    endpoint: { address: { socket_address: { address } } },
    metadata: { filter_metadata: { 'envoy.transport_socket_match': labels } },
  });
  const said = (...lb_endpoints: object[]) =>
    refusal({
      clusterOptions: readClusterDump([
        { cluster },
        { endpoint_config: { cluster_name: name, endpoints: [{ lb_endpoints }] } },
      ]),
    });
  const encrypted = endpoint('10.0.0.1', { tlsMode: 'istio' });
  assert.equal(said(encrypted), '');
  assert.match(
    said(encrypted, endpoint('10.0.0.2', {})),
    /^host orders\.\S+ its cluster in --from-cluster has no TLS to endpoints /,
  );
});
