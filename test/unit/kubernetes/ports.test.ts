import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseConfig } from '../../../src/config/parse.ts';
import { parseSidecarFile } from '../../../src/config/sidecar-file.ts';
import { injectSidecar } from '../../../src/kubernetes/inject.ts';
import { listenRefusals, portsAsked, portsListened } from '../../../src/kubernetes/ports.ts';
import { workloadManifests } from '../../../src/kubernetes/workload-manifests.ts';
import { plain } from '../../../src/lib/commented-yaml.ts';

const TLS = 'tls: { certificate: c, private_key: k, client_ca: ca, allowed_uris: ["spiffe://mesh/*"] }';
const configOf = (text: string) => parseConfig(`version: 1\n${text}`, 'bearerd.yaml');
const STATIC = 'sources: { a: { static: { value: { file: k } } } }\n';
const client = 'client_id: c, client_secret: { file: s }';

describe('ports of the sidecar', () => {
  test('asked are those of every provider, issuer, bundle, collector and Redis, and nothing on this machine', () => {
    const config = configOf(`listen: { check_inbound: "unix:///run/in.sock", xds: "unix:///run/xds.sock" }
sources:
  a: { client_credentials: { issuer: "https://idp.example.com:8443/realms/x", regions: ["https://two.example.com:8444"], ${client} } }
  b: { token_exchange: { token_endpoint: "https://idp.example.com:9443/t", ${client}, subject_token: { header: x-subject } } }
  c: { http: { url: "https://keys.example.com:7443/x" } }
  d: { signed_jwt: { keys: { directory: k }, issuer: "https://us.example.com:1111", subject: s, audience: "https://api.example.com:2222" } }
  e: { http: { url: "https://[::1]:3333/x" } }
policy_bundle: { url: "https://bundle.example.com:6443/b", name: shop, keys: keys.pem }
tracing: { otlp_endpoint: "http://collector.observe:4318" }
shared_cache: { redis: { address: "redis.cache.svc:6380", tls: {} }, tenant: shop, keys: [{ file: k }] }
inbound:
  issuers:
    one: { issuer: "https://idp.example.com:5443", audience: x }
    two: { issuer: "https://other.example.com:1112", jwks_uri: "https://other.example.com/jwks", audience: x }
    three: { issuer: "https://third.example.com:1113", jwks_file: jwks.json, audience: x }
    four: { introspection: { endpoint: "https://idp.example.com:4443/i", client_id: c, client_secret: { file: s } }, audience: x }
  policies: [{ name: api, match: {} }]
`);
    assert.deepEqual(portsAsked(config), [443, 4318, 4443, 5443, 6380, 6443, 7443, 8443, 8444, 9443]);
  });

  test('listened on are those beyond loopback', () => {
    const config = configOf(`listen:
  health: 0.0.0.0:9193
  check: { address: "10.0.0.1:9191", ${TLS} }
  check_inbound: 127.0.0.1:9192
  xds: unix:///run/xds.sock
  status: { address: "0.0.0.0:9195", ${TLS} }
${STATIC}inbound: { issuers: { one: { issuer: "https://i", jwks_file: j, audience: x } }, policies: [{ name: api, match: {} }] }
`);
    assert.deepEqual(portsListened(config), [9191, 9193, 9195]);
  });

  test('are those of the NetworkPolicy and of the mesh’s exceptions', () => {
    const made = workloadManifests({
      ...{ namespace: 'shop', configMap: 'bearerd', config: {}, statusPort: 9195 },
      networkPolicy: { listened: [9193, 9195], asked: [443, 6380] },
      strictMtls: [{ key: 'app', value: 'checkout' }],
    }).map((manifest) => plain(manifest) as { kind: string; spec: Record<string, unknown> });
    const specOf = (kind: string) => made.find((one) => one.kind === kind)!.spec;
    const ports = (side: string) =>
      (specOf('NetworkPolicy')[side] as { ports: { port: number; protocol: string }[] }[])[0]!.ports.map(
        ({ port, protocol }) => `${protocol} ${port}`,
      );
    assert.deepEqual(ports('ingress'), ['TCP 9193', 'TCP 9195']);
    assert.deepEqual(ports('egress'), ['UDP 53', 'TCP 53', 'TCP 443', 'TCP 6380']);
    assert.deepEqual(Object.keys(specOf('PeerAuthentication')['portLevelMtls'] as object), ['9193', '9195']);
  });

  test('closed to plain text are two workloads, also where their labels have one value', () => {
    const names = workloadManifests({
      ...{
        namespace: 'shop',
        configMap: 'bearerd',
        config: {},
        statusPort: undefined,
        networkPolicy: undefined,
      },
      strictMtls: [
        { key: 'app', value: 'checkout' },
        { key: 'app.kubernetes.io/name', value: 'checkout' },
      ],
    })
      .map((manifest) => plain(manifest) as { kind: string; metadata: { name: string } })
      .filter(({ kind }) => kind === 'PeerAuthentication')
      .map(({ metadata }) => metadata.name);
    assert.deepEqual(names, [
      'bearerd-strict-app-checkout',
      'bearerd-strict-app.kubernetes.io-name-checkout',
    ]);
  });

  test('that differ from the sidecar file are refused', () => {
    const sidecar = (more = '') => parseSidecarFile(`image: bearerd:1\n${more}`, 'sidecar.yaml');
    const listen = (text: string) =>
      configOf(`listen: { check: "unix:///run/bearerd/c.sock", ${text} }\n${STATIC}`);
    const status = `status: { address: "0.0.0.0:9195", ${TLS} }`;
    for (const [text, more, expected] of [
      ['health: 0.0.0.0:9193', '', []],
      ['admin: "unix:///run/bearerd/a.sock"', '', [/^listen\.health has to be 0\.0\.0\.0:9193/]],
      ['health: 0.0.0.0:9194', '', [/^listen\.health has to be/]],
      ['health: 127.0.0.1:9193', '', [/^listen\.health has to be/]],
      [`health: 0.0.0.0:9193, ${status}`, '', [/^listen\.status is on port 9195: status_port: 9195/]],
      [`health: 0.0.0.0:9193, ${status}`, 'status_port: 9195', []],
      [
        'health: 0.0.0.0:9193, status: { address: "127.0.0.1:9195", token: { file: t } }',
        'status_port: 9195',
        [/^status_port of the sidecar file is 9195/],
      ],
    ] as const) {
      const problems = listenRefusals(listen(text), sidecar(more));
      assert.equal(problems.length, expected.length, `${text}: ${problems}`);
      for (const [i, pattern] of expected.entries()) assert.match(problems[i]!, pattern);
    }
  });

  test('beside sockets that only /run/bearerd can have: everything else of the container is read-only', () => {
    const sidecar = parseSidecarFile('image: bearerd:1\n', 'sidecar.yaml');
    const problems = (sockets: string, state: string) =>
      listenRefusals(
        configOf(
          `listen: { check: "unix://${sockets}/c.sock", xds: "unix://${sockets}/x.sock", admin: "unix://${sockets}/a.sock", health: "0.0.0.0:9193" }\nstate_dir: ${state}\n${STATIC}`,
        ),
        sidecar,
      );
    assert.deepEqual(problems('/run/bearerd', '/run/bearerd'), []);
    assert.deepEqual(
      problems('/run', '/var/lib/bearerd').map((problem) => problem.split(' has to be ')[0]),
      ['listen.check', 'listen.xds', 'listen.admin', 'state_dir'],
    );
  });

  test('of the status page are the container’s, and past Envoy', () => {
    const options = parseSidecarFile('image: bearerd:1\nstatus_port: 9195', 'sidecar.yaml');
    const given = { metadata: { name: 'a' }, spec: { containers: [{ name: 'app' }] } };
    const once = injectSidecar(given, options)!.pod;
    const ports = once.spec!.initContainers![0]!['ports'] as { name: string; containerPort: number }[];
    assert.deepEqual(
      ports.map(({ name, containerPort }) => `${name} ${containerPort}`),
      ['bearerd-health 9193', 'bearerd-status 9195'],
    );
    const excluded = (pod: typeof once) =>
      pod.metadata!.annotations!['traffic.sidecar.istio.io/excludeInboundPorts'];
    assert.equal(excluded(once), '9193,9195');
    assert.deepEqual(injectSidecar(once, options)!.pod, once, 'twice is once');
    const own = { 'traffic.sidecar.istio.io/excludeInboundPorts': ' 22, 9195' };
    const beside = injectSidecar({ ...given, metadata: { name: 'a', annotations: own } }, options)!.pod;
    assert.equal(excluded(beside), '22,9195,9193');
  });
});
