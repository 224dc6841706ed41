import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import { TRANSPORT } from '../../../src/doors/attempt/upstream.ts';
import { readEnvoyState } from '../../../src/doors/doctor/envoy-state.ts';
import { upstreams } from '../../../src/doors/doctor/upstreams.ts';
import { generateEnvoy } from '../../../src/doors/generate/generate.ts';
import { configOf } from '../../support/generate-config.ts';

for (const door of ['check', 'push', 'attempt'] as const) {
  test(`${door}: a cluster that carries a credential without TLS is told, unless declared or on loopback`, () => {
    const sketch = { name: 'orders', hosts: ['orders.prod.svc.cluster.local'] };
    const found = (allowPlaintext: boolean, address: string, tls?: { ca: string; sni?: string }) => {
      const upstream = { address, port: 80, ...(tls ? { tls } : {}) };
      const options = { door, upstreams: { 'orders.prod.svc.cluster.local': upstream } };
      const bootstrap: unknown = parse(generateEnvoy(configOf([sketch]), options));
      return upstreams(configOf([{ ...sketch, allowPlaintext }]), readEnvoyState({}, bootstrap, {})).map(
        ({ severity, what }) => `${severity} ${what}`,
      );
    };
    const [only, ...others] = found(false, '10.0.0.1');
    assert.match(only!, /^error cluster .*: the credential of policy orders leaves by it without TLS/);
    assert.deepEqual(others, []);
    assert.deepEqual(found(true, '10.0.0.1'), []);
    assert.deepEqual(found(false, '127.0.0.1'), []);
    assert.deepEqual(found(false, '10.0.0.1', { ca: '/ca' }), []);
    assert.deepEqual(found(false, '10.0.0.1', { ca: '/ca', sni: 'other.example.com' }), []);
  });
}

/** What the doctor says of one Envoy, its policy `orders` not allowed in plain text. */
function said(...parts: object[]): string[] {
  const config = configOf([
    { name: 'orders', hosts: ['orders.prod.svc.cluster.local'], allowPlaintext: false },
  ]);
  return upstreams(config, readEnvoyState({}, { parts }, {})).map(
    ({ severity, what, fix }) => `${severity} ${what} -> ${fix}`,
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
const CA = { trusted_ca: { filename: '/ca' } };
const AUTHORITY = {
  validation_context: {
    ...CA,
    match_typed_subject_alt_names: [{ san_type: 'DNS', matcher: { exact: 'a' } }],
  },
};

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

const BY_HOST = {
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      upstream_http_protocol_options: { auto_sni: true, auto_san_validation: true },
    },
  },
};
const sds = (name: string) => ({ validation_context_sds_secret_config: { name } });
const secret = (name: string, validation_context: object) => ({
  '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret',
  name,
  validation_context,
});

test('TLS that verifies nobody is told, whatever name it looks for', () => {
  const { match_typed_subject_alt_names } = AUTHORITY.validation_context;
  for (const context of [
    { tls_params: {} },
    { validation_context: { ...CA, trust_chain_verification: 'ACCEPT_UNTRUSTED' } },
    { validation_context: { match_typed_subject_alt_names } },
    { combined_validation_context: sds('empty') },
  ]) {
    const own = cluster('a', { ...marked, ...BY_HOST, transport_socket: tlsOf(context) });
    const [only, ...others] = said(secret('empty', {}), own);
    assert.match(
      only ?? '',
      /^error cluster a: the credential of policy orders goes to whoever answers.* -> validation_context\.trusted_ca /,
    );
    assert.deepEqual(others, []);
  }
});

test('TLS that checks no name is told with the field to set, and none that checks one', () => {
  const authorities = [
    { validation_context: CA },
    { validation_context: { system_root_certs: {} } },
    sds('authority'),
    { combined_validation_context: { ...sds('authority'), default_validation_context: {} } },
  ];
  for (const context of authorities) {
    const socket = (more: object = {}) => ({ ...marked, transport_socket: tlsOf({ ...context, ...more }) });
    const of = (more: object) => said(secret('authority', CA), cluster('a', { ...socket(), ...more }));
    assert.deepEqual(of({}), [
      'error cluster a: the credential of policy orders goes to whoever has a certificate of its authority, since its TLS checks no name -> upstream_http_protocol_options: { auto_sni: true, auto_san_validation: true } in its HttpProtocolOptions',
    ]);
    assert.deepEqual(of(BY_HOST), []);
    assert.match(
      of({ name: 'outbound|443||orders.prod.svc.cluster.local' })[0]!,
      /-> trafficPolicy\.tls\.subjectAltNames: \[orders\.prod\.svc\.cluster\.local\] of the DestinationRule for orders\.prod/,
    );
  }
  const found = (socket: object, ...more: object[]) =>
    said(...more, cluster('a', { ...marked, transport_socket: socket }));
  const fixed = {
    name: 'tls',
    typed_config: { '@type': TLS, sni: 'x', common_tls_context: { validation_context: CA } },
  };
  assert.match(
    found(fixed)[0]!,
    /match_typed_subject_alt_names: \[\{ san_type: DNS, matcher: \{ exact: x \} \}\]/,
  );
  const auto = { ...fixed, typed_config: { ...fixed.typed_config, auto_sni_san_validation: true } };
  const asksNone = { ...auto, typed_config: { ...auto.typed_config, sni: '' } };
  assert.match(found(asksNone)[0]!, /checks no name/);
  const pinned = tlsOf({ validation_context: { ...CA, verify_certificate_hash: ['df'] } });
  const named = secret('named', AUTHORITY.validation_context);
  for (const socket of [auto, pinned, tlsOf(AUTHORITY), tlsOf(sds('named'))])
    assert.deepEqual(found(socket, named), []);
  assert.match(found(tlsOf(sds('not-come-yet')))[0]!, /checks no name/);
});

test('a name that the app writes into a header is none', () => {
  const options = structuredClone(BY_HOST.typed_extension_protocol_options);
  Object.assign(Object.values(options)[0]!.upstream_http_protocol_options, {
    override_auto_sni_header: 'x-name',
  });
  const socket = { transport_socket: tlsOf({ validation_context: CA }) };
  const own = { ...marked, ...socket, typed_extension_protocol_options: options };
  assert.match(said(cluster('a', own))[0]!, /checks no name/);
});

const mesh = (...names: string[]) =>
  tlsOf({
    combined_validation_context: {
      ...sds('ROOTCA'),
      default_validation_context: { match_subject_alt_names: names.map((exact) => ({ exact })) },
    },
  });
const labelled = { tlsMode: 'istio' };
const byEndpoint = (...names: string[]) => ({
  transport_socket_matches: [
    { name: 'tlsMode-istio', match: labelled, transport_socket: mesh(...names) },
    { name: 'tlsMode-disabled', match: {}, transport_socket: RAW },
  ],
});
const endpoint = (address: string, labels: object = {}) => ({
  endpoint: { address: { socket_address: { address, port_value: 8080 } } },
  metadata: { filter_metadata: { 'envoy.transport_socket_match': labels } },
});
const bySds = (cluster_name: string, ...lb_endpoints: object[]) => ({
  endpoint_config: { cluster_name, endpoints: [{ lb_endpoints }] },
});

test('the mTLS of a mesh without names is a warning, with the names of Istio none', () => {
  const found = (...names: string[]) =>
    said(cluster('outbound|80||orders', { ...marked, ...byEndpoint(...names) }));
  assert.match(found()[0]!, /^warning .* whichever workload of the mesh .*\.subjectAltNames: \[SPIFFE ID/);
  assert.deepEqual(found('spiffe://cluster.local/ns/shop/sa/orders'), []);
});

test('endpoints of a mesh that get the credential in plain text are counted, by their labels', () => {
  const own = cluster('outbound|80||orders', { ...marked, ...byEndpoint('spiffe://a') });
  const encrypted = endpoint('10.0.0.1', labelled);
  assert.deepEqual(said(own, bySds('outbound|80||orders', encrypted, endpoint('127.0.0.1'))), []);
  const found = said(
    own,
    bySds('outbound|80||orders', encrypted, endpoint('10.0.0.2'), endpoint('10.0.0.3')),
  );
  assert.match(
    found[0]!,
    /^error .* without TLS to 2 of its endpoints, 10\.0\.0\.2:8080 first -> a sidecar for them/,
  );
  assert.equal(found.length, 1);
});

test('a cluster of another name for its endpoints, all of them on this machine, is local', () => {
  const own = (more: object) => cluster('a', { ...marked, ...more });
  const named = own({ eds_cluster_config: { service_name: 'b' } });
  assert.deepEqual(said(named, bySds('b', endpoint('127.0.0.1'))), []);
  assert.match(said(named, bySds('a', endpoint('127.0.0.1')))[0]!, /without TLS/);
});

test('a cluster of a mesh is found by the mark of its virtual host, whose names a dump hides', () => {
  const host = {
    name: 'orders',
    domains: ['orders.prod.svc.cluster.local'],
    typed_per_filter_config: { 'envoy.filters.http.ext_authz': { check_settings: {} } },
    routes: [{ route: { cluster: 'outbound|80||orders' } }],
  };
  assert.match(said(host, cluster('outbound|80||orders', {}))[0]!, /without TLS/);
  assert.deepEqual(said(host, cluster('outbound|80||orders', byEndpoint('spiffe://a'))), []);
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

test('clusters are found by weighted routes, by copies, by injectors alone and inside aggregates', () => {
  const mark = { 'a.name.of.its.own': { '@type': 'x.ext_authz.v3.ExtAuthzPerRoute', check_settings: {} } };
  const domains = ['orders.prod.svc.cluster.local'];
  const route = (action: object, typed_per_filter_config: object = mark) => ({
    domains,
    routes: [{ name: 'theirs', route: action, typed_per_filter_config }],
  });
  const pastedMark = { ...route({ cluster: 'a' }), domains: ['*'] };
  assert.match(said(pastedMark, cluster('a', {}))[0] ?? '', /without TLS/);
  const weighted = { weighted_clusters: { clusters: [{ name: 'a', weight: 1 }] } };
  const copied = { cluster: 'other', request_mirror_policies: [{ cluster: 'a' }] };
  for (const action of [{ cluster: 'a' }, weighted, copied])
    assert.match(said(route(action), cluster('a', {}))[0] ?? '', /without TLS/);
  const aggregate = cluster('all', {
    cluster_type: { name: 'envoy.clusters.aggregate', typed_config: { clusters: ['a'] } },
  });
  const inside = said(route({ cluster: 'all' }), aggregate, cluster('a', {}));
  assert.deepEqual([inside.length, /^error cluster a: /.test(inside[0]!)], [1, true]);

  const filter = {
    typed_config: {
      '@type': 'x.ext_authz.v3.ExtAuthz',
      grpc_service: { envoy_grpc: { cluster_name: 'bearerd_check' } },
    },
  };
  const asked = (more: object, mark: object = {}) =>
    said({ ...filter, ...more }, route({ cluster: 'a' }, mark), cluster('a', {})).length;
  assert.deepEqual(
    [
      asked({}),
      asked({ disabled: true }),
      asked({}, { f: { '@type': 'x.ext_authz.v3.ExtAuthzPerRoute', disabled: true } }),
    ],
    [1, 0, 0],
  );

  const injector = {
    '@type': 'x.credential_injector.v3.CredentialInjector',
    credential: {
      typed_config: { credential: { name: 'orders/Token%20', sds: { cluster_name: 'bearerd_xds' } } },
    },
  };
  const pasted = { typed_extension_protocol_options: { http: { http_filters: [injector] } } };
  const by = (policy: string) => ({ ...pasted, metadata: { filter_metadata: { bearerd: { policy } } } });
  assert.match(
    said(cluster('a', pasted))[0]!,
    /^error cluster a: the credential of policy orders .* without TLS/,
  );
  assert.deepEqual(said(cluster('a', by('of-the-same-source'))), []);
  const service = (port: number) =>
    cluster(`outbound|${port}||orders.prod.svc.cluster.local`, by('the-first'));
  assert.match(said(service(80))[0]!, /policy orders .* without TLS/);
});

test('a bearerd beyond this machine is held to its name too', () => {
  const there = (validation_context: object) =>
    cluster('bearerd_check', {
      load_assignment: { endpoints: [{ lb_endpoints: [endpoint('10.0.0.9')] }] },
      transport_socket: tlsOf({ validation_context }),
    });
  assert.match(
    said(there(CA))[0]!,
    /^error cluster bearerd_check: what bearerd is asked for, .* checks no name/,
  );
  assert.deepEqual(said(there(AUTHORITY.validation_context)), []);
});
