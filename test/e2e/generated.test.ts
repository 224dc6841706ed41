// Every piece that the generator can write, loaded by every promised Envoy: whole configurations, and what is generated for
// Istio as istiod would merge it. And what becomes of the app's own credential on its way to a host of no policy.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse, parseAllDocuments } from 'yaml';
import { parseConfig } from '../../src/config/parse.ts';
import { generateEnvoy } from '../../src/doors/generate/generate.ts';
import { generateInbound } from '../../src/doors/generate/inbound/inbound.ts';
import { generateIstio } from '../../src/doors/generate/istio/istio.ts';
import { TESTED_ENVOYS, validateEnvoy } from '../support/envoy.ts';
import { ISTIO_OPTIONS } from '../support/istio-options.ts';
import { startedWorld } from '../support/world.ts';

const RESILIENCE =
  'resilience: { retries: 2, outlier_detection: {}, connections: { max: 9, max_pending: 9, max_requests: 9, requests_per_connection: 9, idle_timeout: 60s }, header_case: preserve }';

const DENIALS = `  - { name: closed, match: { services: ["orders.shop"], paths: [/admin] }, deny: { status: 404 } }
  - { name: shut, match: { hosts: [shut.example.com] }, deny: true }
`;

const config = (unbound: string, denials = DENIALS, inboundAt = 'unix:///run/in.sock') =>
  parseConfig(
    `version: 1
mode: development
listen: { check: "unix:///run/check.sock", xds: "unix:///run/xds.sock", check_inbound: "${inboundAt}" }
unbound_authorization: ${unbound}
ambiguous_path: deny
sources:
  a: { client_credentials: { token_endpoint: "https://idp.example.com/token", client_id: a, client_secret: { inline: s } } }
  b: { static: { value: { inline: key } } }
outbound:
  - { name: orders, match: { services: ["orders.shop"], methods: [GET, POST], paths: [/v1/, { exact: /x }] }, inject: { source: a }, ${RESILIENCE} }
  - { name: part, match: { hosts: [part.shop.svc.cluster.local] }, inject: { source: a }, mode: { percent: 25 }, heal_on: invalid_token }
  - { name: seen, match: { hosts: [seen.shop.svc.cluster.local] }, inject: { source: a }, mode: shadow }
  - { name: keys, match: { hosts: [api.example.com, "api.example.com:8443"] }, inject: { source: b, headers: [{ name: x-key, prefix: "" }, { name: authorization }] }, resilience: { header_case: title } }
${denials}inbound:
  issuers: { idp: { issuer: "https://idp.example.com", jwks_file: jwks.json, audience: orders } }
  client_certificate: xfcc
  trusted_hops: 1
  policies: [{ name: api, match: {}, forward: { x-user: sub }, peers: ["spiffe://mesh/*"], cors: { origins: ["https://a.example.com"] } }]
`,
    'bearerd.yaml',
  );

interface Patch {
  readonly applyTo: string;
  readonly match: { readonly cluster?: object };
  readonly patch: { readonly operation: string; readonly value: Record<string, unknown> };
}

/** What istiod makes of the patches, around a listener and clusters as a sidecar has them. */
function merged(manifests: string): object {
  const patches = parseAllDocuments(manifests)
    .map((document) => document.toJS() as { kind: string; spec: { configPatches: Patch[] } })
    .filter(({ kind }) => kind === 'EnvoyFilter')
    .flatMap(({ spec }) => spec.configPatches);
  const values = (applyTo: string, operation: string) =>
    patches.filter((p) => p.applyTo === applyTo && p.patch.operation === operation).map((p) => p.patch.value);
  const manager = values('NETWORK_FILTER', 'MERGE').map((value) => value['typed_config'] as object);
  const router = values('HTTP_FILTER', 'MERGE')[0] ?? {
    name: 'envoy.filters.http.router',
    typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
  };
  const route = {
    match: { prefix: '/' },
    route: { cluster: 'of-the-mesh' },
  };
  return {
    static_resources: {
      clusters: [
        { name: 'of-the-mesh', type: 'STATIC' },
        ...values('CLUSTER', 'ADD'),
        ...values('CLUSTER', 'MERGE').map((value, i) => ({ name: `merged-${i}`, type: 'STATIC', ...value })),
      ],
      listeners: [
        {
          name: 'listener',
          address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
          filter_chains: [
            {
              filters: [
                {
                  name: 'envoy.filters.network.http_connection_manager',
                  typed_config: Object.assign({}, ...manager, {
                    '@type':
                      'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
                    stat_prefix: 'x',
                    route_config: {
                      virtual_hosts: [
                        {
                          name: 'all',
                          domains: ['*'],
                          routes: [
                            ...values('HTTP_ROUTE', 'MERGE').map((value) => ({
                              ...route,
                              route: { ...route.route, ...(value['route'] as object) },
                            })),
                            route,
                          ],
                          ...Object.assign({}, ...values('VIRTUAL_HOST', 'MERGE')),
                        },
                      ],
                    },
                    http_filters: [
                      ...values('HTTP_FILTER', 'INSERT_FIRST'),
                      ...values('HTTP_FILTER', 'INSERT_BEFORE'),
                      router,
                    ],
                  }),
                },
              ],
            },
          ],
        },
      ],
    },
    node: { id: 'x', cluster: 'x' },
  };
}

/** The parts put where their headings say. */
function placed(pieces: string): object {
  const [ours, upstreams, manager, routes] = parseAllDocuments(pieces).map((document) => document.toJS());
  const clusters = [
    ...ours.clusters,
    ...upstreams.clusters,
    { name: 'passthrough', type: 'ORIGINAL_DST', lb_policy: 'CLUSTER_PROVIDED' },
  ];
  const names = clusters.map(({ name }: { name: string }) => name);
  return listening(
    [...new Map(clusters.map((cluster, i) => [names[i], cluster])).values()],
    Object.assign(manager, routes),
  );
}

function inboundPlaced(pieces: string): object {
  const [ours, manager] = parseAllDocuments(pieces).map((document) => document.toJS());
  return listening([...ours.clusters, { name: 'app', type: 'STATIC' }], manager);
}

function listening(clusters: object[], manager: object): object {
  const typed_config = { '@type': HCM, stat_prefix: 'x', ...manager };
  const filters = [{ name: 'envoy.filters.network.http_connection_manager', typed_config }];
  const address = { socket_address: { address: '127.0.0.1', port_value: 0 } };
  return {
    static_resources: { clusters, listeners: [{ name: 'l', address, filter_chains: [{ filters }] }] },
    node: { id: 'x', cluster: 'x' },
  };
}

const HCM =
  'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';

const istio = (
  door: 'check' | 'push' | 'attempt',
  context: 'sidecar' | 'ingress' | 'egress',
  inbound: 'filter' | 'authorization-policy' = 'filter',
) =>
  merged(
    generateIstio(
      config(
        door === 'push' ? 'deny' : 'remove',
        door === 'push' ? '' : DENIALS,
        inbound === 'filter' ? undefined : '127.0.0.1:9192',
      ),
      {
        ...ISTIO_OPTIONS,
        door,
        context,
        inbound,
      },
    ),
  );
const WHOLE: Readonly<Record<string, () => object>> = {
  'envoy check': () => parse(generateEnvoy(config('remove'), { door: 'check' })),
  'envoy push': () => parse(generateEnvoy(config('deny', ''), { door: 'push' })),
  'envoy attempt': () => parse(generateEnvoy(config('remove'), { door: 'attempt' })),
  'envoy check in pieces': () => placed(generateEnvoy(config('deny'), { door: 'check', form: 'pieces' })),
  'envoy attempt in pieces': () =>
    placed(generateEnvoy(config('remove'), { door: 'attempt', form: 'pieces' })),
  'envoy inbound': () => parse(generateInbound(config('pass'), {})),
  'envoy inbound in pieces': () => inboundPlaced(generateInbound(config('pass'), { form: 'pieces' })),
  'istio check': () => istio('check', 'egress'),
  'istio push': () => istio('push', 'egress'),
  'istio attempt': () => istio('attempt', 'egress'),
  'istio inbound': () => istio('check', 'ingress'),
  'istio inbound by an AuthorizationPolicy': () => istio('check', 'ingress', 'authorization-policy'),
};

for (const version of TESTED_ENVOYS) {
  test(`Envoy ${version} loads everything that is generated`, async () => {
    for (const [what, make] of Object.entries(WHOLE)) {
      const { ok, output } = await validateEnvoy(make(), version);
      assert.ok(ok, `${what}: ${output}`);
      const complaint = /deprecated.*|unknown field.*/i.exec(output)?.[0];
      assert.equal(complaint, undefined, what);
    }
  });
}

for (const [setting, without, withOwn] of [
  ['pass', [200, 'none'], [200, 'present']],
  ['remove', [200, 'none'], [200, 'none']],
  ['deny', [200, 'none'], [403, undefined]],
] as const) {
  test(`unbound_authorization: ${setting}, for a host of no policy and for no other`, async (t) => {
    const world = await startedWorld(t, { settings: `unbound_authorization: ${setting}` });
    await world.ready();
    for (const door of ['check', 'push'] as const) {
      const { send } = await world.startEnvoy(door);
      const ask = async (host: string, path: string, headers: Record<string, string>) => {
        const { status, body } = await send(path, { host, headers });
        return [
          status,
          status === 200 ? (JSON.parse(body) as { authorization?: string }).authorization : undefined,
        ];
      };
      const own = { authorization: 'Bearer of-the-app' };
      assert.deepEqual(await ask('open.example.com', '/open', {}), without, door);
      assert.deepEqual(await ask('open.example.com', '/open', own), withOwn, door);
      assert.equal((await ask('orders.example.com', '/v1/orders', own))[0], 200, door);
      assert.deepEqual(await ask('ORDERS.example.com:80', '/open', own), [200, 'present'], door);
    }
  });
}
