// Generated manifests on a real kube-apiserver, a real istiod and a plain Envoy that joins it: accepted by all three, and
// doing what they say.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { globalAgent } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Answer, createWorld, OPEN, ORDERS, send, type World } from '../../demo/world.ts';
import type { StartedEnvoy } from '../support/envoy.ts';
import { load, statuses } from '../support/load.ts';
import {
  generateIstio,
  type Manifest,
  type Mesh,
  serviceEntry,
  skipMesh,
  startMesh,
} from '../support/mesh.ts';
import { freePort } from '../support/ports.ts';
import type { StartedProcess } from '../support/process.ts';

const NAMESPACE = 'shop';
const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

describe('a mesh with a real istiod', { skip: skipMesh }, () => {
  let world: World;
  let bearerd: StartedProcess;
  let mesh: Mesh;
  let envoy: StartedEnvoy;
  let port: number;

  before(async () => {
    // A certificate of a DestinationRule comes from istio-agent, which a plain Envoy has not beside it.
    world = await createWorld({ plainUpstream: true });
    bearerd = await world.startBearerd();
    await world.ready();
    mesh = await startMesh(NAMESPACE);
    port = await freePort();
    await mesh.apply(theTeamsOwn(world, port));
    envoy = await mesh.istio.joinEnvoy(NAMESPACE, port);
  });
  after(async () => {
    await mesh?.stop();
    await world?.stop();
  });

  async function generated(door: string, ...more: string[]): Promise<Manifest[]> {
    const documents = await generateIstio(
      ...['--config', world.configFile, '--namespace', NAMESPACE, '--door', door, ...more],
    );
    // The team has its own ServiceEntry and DestinationRule for the host.
    return documents.filter(({ kind }) => kind === 'EnvoyFilter');
  }

  /** Puts this door's filters in the place of the last one's, and waits until Envoy has them. */
  async function serveBy(door: string, ...more: string[]): Promise<void> {
    await mesh.replaceFilters(await generated(door, ...more));
    // Whatever the door before left open.
    await sleep(1_000);
    await mesh.until(async () => {
      // A connection from before goes on with the filters of its time until Envoy has drained it.
      globalAgent.destroy();
      return (await get('/v1/orders').catch(() => ({ status: 0 }))).status === 200;
    }, door);
    // Envoy's acknowledgement of a secret must be older than 50 ms before a refusal counts.
    await sleep(500);
  }

  const get = (path: string, host = ORDERS): Promise<Answer> => send(port, path, { host });

  for (const door of ['check', 'push', 'attempt']) {
    test(`${door}: every generated type is acked without an error, and each request carries the credential`, async () => {
      await serveBy(door);
      await mesh.assertAccepted();
      assert.ok((await mesh.istio.sync()).some(({ type }) => type === 'RouteConfiguration'));
      const answers = await load(() => get('/v1/orders'), 50, 2);
      assert.deepEqual(statuses(answers), { 200: 100 });
      const other = JSON.parse((await get('/open', OPEN)).body) as { authorization: string };
      assert.equal(other.authorization, 'none');
    });
  }

  for (const door of ['push', 'attempt']) {
    test(`${door}: a revocation under 300 requests/s is healed with no 401 seen`, async (t) => {
      await serveBy(door);
      const calls = world.provider.tokenCalls;
      const revoked = sleep(1_500).then(() => world.upstream.revoke());
      const answers = await load(() => get('/v1/orders'), 300, 4);
      await revoked;
      const slowest = Math.max(...answers.map(({ ms }) => ms));
      t.diagnostic(`${JSON.stringify(statuses(answers))}, slowest ${slowest.toFixed(0)} ms`);
      assert.deepEqual(statuses(answers), { 200: 1_200 });
      assert.equal(world.provider.tokenCalls, calls + 1);
    });
  }

  test('check: a revocation under 300 requests/s is over within a second, by one fetch', async (t) => {
    await serveBy('check');
    const calls = world.provider.tokenCalls;
    let revokedAt = 0;
    const revoked = sleep(1_500).then(() => {
      world.upstream.revoke();
      revokedAt = performance.now();
    });
    const answers = await load(
      async () => {
        const begun = performance.now();
        return { ...(await get('/v1/orders')), begun };
      },
      300,
      4,
    );
    await revoked;
    // The check runs once a request, so no retry can carry another credential: who was asked for before it saw the refusal.
    const refused = answers.filter(({ status }) => status !== 200);
    const over = Math.max(...refused.map(({ begun }) => begun)) - revokedAt;
    t.diagnostic(
      `${JSON.stringify(statuses(answers))}, the last refused one sent after ${over.toFixed(0)} ms`,
    );
    assert.ok(refused.length > 0 && refused.every(({ status }) => status === 401));
    assert.ok(over < 1_000, `${over} ms`);
    assert.equal(world.provider.tokenCalls, calls + 1);
  });

  test('what a DestinationRule says of HTTP is kept with --from-cluster', async () => {
    await mesh.replaceFilters([]);
    await sleep(2_000);
    const before = await optionsOfOrders();
    const dump = join(world.folder, 'config_dump.json');
    writeFileSync(dump, await envoy.admin('/config_dump'));
    await serveBy('push', '--from-cluster', dump);
    const { http_filters, upstream_http_protocol_options: byHost, ...kept } = await optionsOfOrders();
    // For the TLS that a host outside is to have.
    assert.deepEqual(byHost, { auto_sni: true, auto_san_validation: true });
    assert.ok(Array.isArray(http_filters) && http_filters.length === 2);
    assert.deepEqual(kept, before);
    const common = kept['common_http_protocol_options'] as Record<string, unknown>;
    assert.deepEqual([common['idle_timeout'], common['max_requests_per_connection']], ['30s', 100]);
  });

  async function optionsOfOrders(): Promise<Record<string, unknown>> {
    const { configs } = JSON.parse(await envoy.admin('/config_dump?resource=dynamic_active_clusters')) as {
      configs: {
        cluster: { name: string; typed_extension_protocol_options: Record<string, Record<string, unknown>> };
      }[];
    };
    const found = configs.find(({ cluster: { name } }) => name.endsWith(`|${ORDERS}`))!;
    return found.cluster.typed_extension_protocol_options[HTTP_OPTIONS]!;
  }

  test('a dead bearerd harms no host without a policy', async () => {
    await serveBy('check');
    await bearerd.stop();
    assert.equal((await get('/open', OPEN)).status, 200);
    assert.equal((await get('/v1/orders')).status, 503);
  });
});

/** As a team has it before bearerd comes. An egress listener serves only what has its port. */
function theTeamsOwn({ upstream }: World, port: number): object[] {
  const there = { address: '127.0.0.1', port: upstream.port };
  const rule = {
    apiVersion: 'networking.istio.io/v1',
    kind: 'DestinationRule',
    metadata: { name: 'orders', namespace: NAMESPACE },
    spec: {
      host: ORDERS,
      trafficPolicy: { connectionPool: { http: { idleTimeout: '30s', maxRequestsPerConnection: 100 } } },
    },
  };
  return [...[ORDERS, OPEN].map((host) => serviceEntry(NAMESPACE, host, port, there)), rule];
}
