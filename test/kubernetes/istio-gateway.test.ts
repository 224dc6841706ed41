// Gateways of a mesh with a real istiod: what --context egress and --context ingress generate, on an Envoy of the type router.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { globalAgent } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createWorld, OPEN, ORDERS, send, type World } from '../../demo/world.ts';
import { load, statuses } from '../support/load.ts';
import {
  extensionProviders,
  generateIstio,
  type Manifest,
  type Mesh,
  serviceEntry,
  skipMesh,
  startMesh,
} from '../support/mesh.ts';
import { type MeshApp, startMeshApp } from '../support/mesh-app.ts';
import { freePorts } from '../support/ports.ts';
import type { StartedProcess } from '../support/process.ts';

const NAMESPACE = 'edge';

/** A Gateway for the workloads with this label, and a route for each host to the service of its name. */
function gateway(label: string, port: number, hosts: readonly string[]): object[] {
  const metadata = { name: label, namespace: NAMESPACE };
  return [
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'Gateway',
      metadata,
      spec: {
        selector: { istio: label },
        servers: [{ port: { number: port, name: 'http', protocol: 'HTTP' }, bind: '127.0.0.1', hosts }],
      },
    },
    ...hosts.map((host) => ({
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      metadata: { name: host.replaceAll('.', '-'), namespace: NAMESPACE },
      spec: {
        hosts: [host],
        gateways: [label],
        http: [{ route: [{ destination: { host, port: { number: 80 } } }] }],
      },
    })),
  ];
}

describe('an egress gateway of a mesh with a real istiod', { skip: skipMesh }, () => {
  let world: World;
  let bearerd: StartedProcess;
  let mesh: Mesh;
  let port: number;

  before(async () => {
    world = await createWorld({ plainUpstream: true });
    bearerd = await world.startBearerd();
    await world.ready();
    mesh = await startMesh(NAMESPACE);
    [port] = (await freePorts(1)) as [number];
    const upstream = { address: '127.0.0.1', port: world.upstream.port };
    await mesh.apply([
      ...[ORDERS, OPEN].map((host) => serviceEntry(NAMESPACE, host, 80, upstream)),
      ...gateway('egressgateway', port, [ORDERS, OPEN]),
    ]);
    await mesh.istio.startProxy({
      type: 'router',
      namespace: NAMESPACE,
      labels: { istio: 'egressgateway' },
    });
  });
  after(async () => {
    await mesh?.stop();
    await world?.stop();
  });

  /** As a pod without a sidecar sends it. */
  const ask = (path = '/v1/orders', host = ORDERS) => send(port, path, { host });
  const status = (host = ORDERS) =>
    ask('/v1/orders', host).then(
      (answer) => answer.status,
      () => 0,
    );

  async function filters(door: string): Promise<Manifest[]> {
    const documents = await generateIstio(
      ...['--config', world.configFile, '--namespace', NAMESPACE, '--door', door],
      ...['--context', 'egress', '--selector', 'istio=egressgateway'],
    );
    // The team has its own ServiceEntries.
    return documents.filter(({ kind }) => kind === 'EnvoyFilter');
  }

  async function serveBy(door: string, host = ORDERS): Promise<void> {
    await mesh.replaceFilters(await filters(door));
    // Whatever the door before left open.
    await sleep(1_000);
    await mesh.until(async () => {
      globalAgent.destroy();
      return (await status(host)) === 200;
    }, door);
    // Envoy's acknowledgement of a secret must be older than 50 ms before a refusal counts.
    await sleep(500);
  }

  test('without filters a client without a sidecar is refused by the upstream', async () => {
    await mesh.until(async () => (await status()) === 401, 'the gateway alone');
  });

  for (const door of ['check', 'push', 'attempt']) {
    test(`${door}: a client without a sidecar gets its credential there, and other hosts none`, async () => {
      await serveBy(door);
      await mesh.assertAccepted();
      assert.deepEqual(statuses(await load(() => ask(), 50, 2)), { 200: 100 });
      const open = JSON.parse((await ask('/open', OPEN)).body) as { authorization: string };
      assert.equal(open.authorization, 'none');
    });
  }

  for (const door of ['push', 'attempt']) {
    test(`${door}: a revocation under 300 requests/s is healed with no 401 seen`, async (t) => {
      await serveBy(door);
      const calls = world.provider.tokenCalls;
      const revoked = sleep(1_500).then(() => world.upstream.revoke());
      const answers = await load(() => ask(), 300, 4);
      await revoked;
      const slowest = Math.max(...answers.map(({ ms }) => ms));
      t.diagnostic(`${JSON.stringify(statuses(answers))}, slowest ${slowest.toFixed(0)} ms`);
      assert.deepEqual(statuses(answers), { 200: 1_200 });
      assert.equal(world.provider.tokenCalls, calls + 1);
    });
  }

  test('check: a policy of one port holds, also where the gateway listens on another', async () => {
    const every = readFileSync(world.configFile, 'utf8');
    const one = `${ORDERS}:8443`;
    writeFileSync(world.configFile, every.replace(`[${ORDERS}]`, `["${one}"]`));
    await serveBy('check', one);
    assert.equal((await ask('/v1/orders', one)).status, 200);
    assert.equal(await status(), 401, 'another port');
    writeFileSync(world.configFile, every);
    await mesh.until(async () => (await status()) === 200, 'every port again');
  });

  test('a dead bearerd harms no other host of the gateway, through any door', async () => {
    await bearerd.stop();
    for (const door of ['check', 'push', 'attempt']) {
      await mesh.replaceFilters(await filters(door));
      await sleep(1_500);
      globalAgent.destroy();
      assert.equal((await ask('/open', OPEN)).status, 200, door);
    }
    await mesh.replaceFilters(await filters('check'));
    await mesh.until(async () => (await status()) === 503, 'refused by check');
  });
});

describe('an ingress gateway of a mesh with a real istiod', { skip: skipMesh }, () => {
  const API = 'api.example.com';
  let app: MeshApp;
  let mesh: Mesh;
  let port: number;

  before(async () => {
    const [check, listen] = (await freePorts(2)) as [number, number];
    port = listen;
    app = await startMeshApp(check);
    app.configure(
      `    - { name: api, match: { hosts: [${API}], paths: [/v1/] }, forward: { x-user: sub } }\n`,
    );
    await app.startBearerd();
    mesh = await startMesh(NAMESPACE, await extensionProviders(...flags('authorization-policy')));
    await mesh.apply([
      serviceEntry(NAMESPACE, API, 80, { address: '127.0.0.1', port: app.port }),
      ...gateway('ingressgateway', port, [API]),
    ]);
    await mesh.istio.startProxy({
      type: 'router',
      namespace: NAMESPACE,
      labels: { istio: 'ingressgateway' },
    });
  });
  after(async () => {
    await mesh?.stop();
    await app?.stop();
  });

  function flags(form: string): string[] {
    return [
      ...['--config', app.configFile, '--namespace', NAMESPACE, '--context', 'ingress'],
      ...['--inbound', form, '--selector', 'istio=ingressgateway'],
    ];
  }

  const ask = (path: string, token?: string, headers: Record<string, string> = {}) =>
    send(port, path, {
      host: API,
      headers: { ...headers, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) },
    }).then(
      (answer) => answer.status,
      () => 0,
    );

  for (const form of ['filter', 'authorization-policy']) {
    test(`${form}: acked; who has no token of the issuer comes no further than the gateway`, async () => {
      await mesh.replaceFilters([]);
      await mesh.until(async () => (await ask('/v1/x')) === 200, 'open before');
      await mesh.replaceFilters(await generateIstio(...flags(form)));
      await mesh.until(async () => {
        globalAgent.destroy();
        return (await ask('/v1/x')) === 401;
      }, 'enforced');
      await mesh.assertAccepted();
      app.arrived.length = 0;
      const forged = { 'x-user': 'mallory', x_user: 'mallory' };
      assert.equal(await ask('/v1/x', app.token(), forged), 200);
      assert.deepEqual(
        [app.arrived.length, app.arrived[0]!['x-user'], app.arrived[0]!['x_user']],
        [1, 'alice', undefined],
      );
      assert.equal(await ask('/v1/x', app.foreignToken()), 401);
      assert.equal(await ask('/other', app.token()), 403);
      assert.equal(app.arrived.length, 1);
    });
  }

  test('without bearerd nobody comes in', async () => {
    await app.stopBearerd();
    app.arrived.length = 0;
    const refused = [await ask('/v1/x', app.token()), await ask('/v1/x')];
    assert.deepEqual([...refused, app.arrived.length], [503, 503, 0]);
  });
});
