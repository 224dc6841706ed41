// A policy of one port beside one of every port, by the same requests through check and push on a real Envoy: as it is
// generated whole, and as Istio has it, where a cluster of one port also gets requests whose host has none.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parse, parseAllDocuments } from 'yaml';
import { ORDERS } from '../../demo/world.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { generateIstio } from '../../src/doors/generate/istio/istio.ts';
import { startGateway } from '../support/gateway.ts';
import { ISTIO_OPTIONS } from '../support/istio-options.ts';

const TABLE: readonly (readonly [port: string, header: 'authorization' | 'x-one'])[] = [
  ['', 'authorization'],
  [':80', 'authorization'],
  [':8443', 'x-one'],
  ['.:8443', 'x-one'],
  [':9000', 'authorization'],
];
/** What apps send to port 8443 of a mesh. */
const IN_MESH = TABLE.filter(([port]) => port === '' || port.endsWith(':8443'));

for (const door of ['check', 'push'] as const) {
  test(`${door}: a policy of one port takes its own requests, one of every port the others`, async (t) => {
    const gateway = await startGateway(t, {
      sources: '  orders: { static: { value: { inline: a-key } } }',
      before: `  - { name: one, match: { hosts: ["${ORDERS}:8443"] }, inject: { source: orders, header: x-one } }`,
    });
    await gateway.ready();
    const file = `${gateway.folder}/bearerd.yaml`;
    const mesh = (bootstrap: string) => meshed(bootstrap, readFileSync(file, 'utf8'), door);
    for (const [change, table] of [
      [(bootstrap: string) => bootstrap, TABLE],
      [mesh, IN_MESH],
    ] as const) {
      const { send } = await gateway.startEnvoy(door, { change });
      for (const [port, header] of table) {
        const { status, body } = await send('/', { host: `${ORDERS}${port}` });
        assert.equal(status, 200, body);
        const headers = JSON.parse(body) as Record<string, string>;
        const carried = ['authorization', 'x-one'].filter((name) => headers[name]?.endsWith('a-key'));
        assert.deepEqual(carried, [header], `Host ${ORDERS}${port}`);
      }
    }
  });
}

interface Patch {
  readonly applyTo: string;
  readonly patch: { readonly operation: string; readonly value: Record<string, unknown> };
}

/** The upstream and the listener of `bootstrap` as istiod would have them for port 8443: what is patched last stands. */
function meshed(bootstrap: string, text: string, door: 'check' | 'push'): string {
  const manifests = generateIstio(parseConfig(text, 'bearerd.yaml'), { ...ISTIO_OPTIONS, door });
  const patches = parseAllDocuments(manifests).flatMap(
    (document) => (document.toJS() as { spec: { configPatches?: Patch[] } }).spec.configPatches ?? [],
  );
  const values = (applyTo: string, operation: string) =>
    patches
      .filter((one) => one.applyTo === applyTo && one.patch.operation === operation)
      .map((one) => one.patch.value);
  const document = parse(bootstrap);
  const { clusters, listeners } = document.static_resources;
  const manager = listeners[0].filter_chains[0].filters[0].typed_config;
  const upstream = clusters.find(({ name }: { name: string }) => name.includes(ORDERS));
  document.static_resources.clusters = [
    ...values('CLUSTER', 'ADD'),
    Object.assign({ ...upstream, name: `outbound|8443||${ORDERS}` }, values('CLUSTER', 'MERGE').at(-1)),
  ];
  manager.http_filters = [...values('HTTP_FILTER', 'INSERT_BEFORE'), manager.http_filters.at(-1)];
  manager.route_config.virtual_hosts = [
    {
      name: `${ORDERS}:8443`,
      domains: ['*'],
      routes: [{ match: { prefix: '/' }, route: { cluster: `outbound|8443||${ORDERS}` } }],
      ...values('VIRTUAL_HOST', 'MERGE').at(-1),
    },
  ];
  return JSON.stringify(document);
}
