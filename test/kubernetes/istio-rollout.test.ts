// A policy on its way into force in a mesh with a real istiod: by kubectl apply of what is generated for each mode, and by the
// configuration file alone, replaced as the kubelet replaces a mounted ConfigMap.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { globalAgent } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createWorld, OPEN, ORDERS, send, type World } from '../../demo/world.ts';
import type { StartedEnvoy } from '../support/envoy.ts';
import { generateIstio, type Mesh, serviceEntry, skipMesh, startMesh } from '../support/mesh.ts';
import { freePort } from '../support/ports.ts';
import type { StartedProcess } from '../support/process.ts';

const NAMESPACE = 'shop';
/** Who in the end gets the credential, of ten users. */
const USERS = Array.from({ length: 10 }, (_, i) => `user-${i}`);
const IN_FORCE = { shadow: 0, '{ percent: 0 }': 0, '{ percent: 100 }': 10, enforce: 10, off: 0 } as const;
type Mode = keyof typeof IN_FORCE;

describe('a rollout in a mesh with a real istiod', { skip: skipMesh }, () => {
  let world: World;
  let bearerd: StartedProcess;
  let mesh: Mesh;
  let envoy: StartedEnvoy;
  let port: number;
  let text: string;
  let version = 0;

  before(async () => {
    world = await createWorld({ plainUpstream: true });
    text = readFileSync(world.configFile, 'utf8');
    rmSync(world.configFile);
    mount('enforce');
    symlinkSync('..data/bearerd.yaml', world.configFile);
    bearerd = await world.startBearerd();
    await world.ready();
    mesh = await startMesh(NAMESPACE);
    port = await freePort();
    const there = { address: '127.0.0.1', port: world.upstream.port };
    await mesh.apply([ORDERS, OPEN].map((host) => serviceEntry(NAMESPACE, host, port, there)));
    envoy = await mesh.istio.joinEnvoy(NAMESPACE, port);
  });
  after(async () => {
    await mesh?.stop();
    await world?.stop();
  });

  /** As the kubelet: a folder of its own for each version, and one link to the current one, swapped in one rename. */
  function mount(mode: string): void {
    const folder = `..v${++version}`;
    mkdirSync(join(world.folder, folder));
    writeFileSync(
      join(world.folder, folder, 'bearerd.yaml'),
      text.replace('inject: { source: orders }', `inject: { source: orders }\n    mode: ${mode}`),
    );
    symlinkSync(folder, join(world.folder, '..data_tmp'));
    renameSync(join(world.folder, '..data_tmp'), join(world.folder, '..data'));
  }

  /** What is generated for the mounted configuration takes the place of what was there. */
  async function applyGenerated(door: string): Promise<void> {
    const flags = ['--config', world.configFile, '--namespace', NAMESPACE, '--door', door];
    const documents = await generateIstio(...flags);
    await mesh.replaceFilters(documents.filter(({ kind }) => kind === 'EnvoyFilter'));
  }

  /** Status of each user's request, who sends a credential of their own that this upstream refuses. */
  async function served(): Promise<number> {
    globalAgent.destroy();
    const answers = await Promise.all(
      USERS.map((user) =>
        send(port, '/v1/orders', {
          host: ORDERS,
          headers: { authorization: 'Bearer of-the-app', 'x-user-id': user },
        }).catch(() => ({ status: 0 })),
      ),
    );
    assert.ok(
      answers.every(({ status }) => status !== 503),
      'nobody is refused by us',
    );
    return answers.filter(({ status }) => status === 200).length;
  }

  async function until(wanted: number, what: string): Promise<number> {
    const begun = performance.now();
    await mesh.until(async () => (await served()) === wanted, what);
    return performance.now() - begun;
  }

  for (const door of ['check', 'push', 'attempt']) {
    test(`${door}: shadow, shares and enforce by kubectl apply, each acked`, async (t) => {
      for (const mode of Object.keys(IN_FORCE).slice(0, 4) as Mode[]) {
        mount(mode);
        await applyGenerated(door);
        const ms = await until(IN_FORCE[mode], `${door} ${mode}`);
        t.diagnostic(`${mode}: in force ${ms.toFixed(0)} ms after kubectl apply`);
        await sleep(300);
        assert.equal(await served(), IN_FORCE[mode], `${mode} stays`);
        await mesh.assertAccepted();
      }
    });

    test(`${door}: every mode by the mounted file alone, with the filters of a share`, async (t) => {
      mount('{ percent: 100 }');
      await applyGenerated(door);
      await until(10, door);
      for (const mode of [
        'shadow',
        'enforce',
        'off',
        'enforce',
        '{ percent: 0 }',
        '{ percent: 100 }',
      ] as Mode[]) {
        mount(mode);
        const ms = await until(IN_FORCE[mode], `${door} ${mode}`);
        t.diagnostic(`${mode}: in force ${ms.toFixed(0)} ms after the swap of ..data`);
      }
      mount('nonsense');
      await sleep(1_500);
      assert.equal(await served(), 10, 'a broken file changes nothing');
    });
  }

  test('a dead bearerd harms no host without a policy, through any door', async () => {
    mount('enforce');
    for (const door of ['check', 'push', 'attempt']) {
      await applyGenerated(door);
      await until(10, door);
      // So that the filters of this door are there, and not those before.
      await sleep(1_000);
      const { pid } = bearerd;
      process.kill(pid, 'SIGSTOP');
      try {
        const { status, ms } = await send(port, '/open', { host: OPEN });
        assert.equal(status, 200, door);
        assert.ok(ms < 1_000, `${door}: ${ms} ms`);
      } finally {
        process.kill(pid, 'SIGCONT');
      }
    }
    await bearerd.stop();
    for (const door of ['check', 'push', 'attempt']) {
      await applyGenerated(door);
      await sleep(1_500);
      globalAgent.destroy();
      assert.equal((await send(port, '/open', { host: OPEN })).status, 200, door);
    }
  });

  test('an Envoy that starts while bearerd is dead serves hosts without a policy, through any door', async (t) => {
    for (const door of ['check', 'push', 'attempt']) {
      await applyGenerated(door);
      await sleep(1_000);
      await envoy.stop();
      envoy = await mesh.istio.startProxy({ type: 'sidecar', namespace: NAMESPACE, labels: { app: 'app' } });
      t.diagnostic(`${door}: ready after ${envoy.startedInMs.toFixed(0)} ms`);
      assert.ok(envoy.startedInMs < 8_000, `${door}: ${envoy.startedInMs} ms`);
      globalAgent.destroy();
      assert.equal((await send(port, '/open', { host: OPEN })).status, 200, door);
      assert.equal((await send(port, '/v1/orders', { host: ORDERS })).status === 200, false, door);
    }
  });
});
