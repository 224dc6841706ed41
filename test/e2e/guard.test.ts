// A new version of a policy injects what the upstream refuses: the guard steps back by itself, through real Envoy and each
// door, stays there over a restart, and a version with another hash lifts it.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { createWorld, type GatedEnvoy, type World } from '../../demo/world.ts';
import { KEPT_STATISTICS } from '../../src/doors/push/envoy-statistics.ts';
import { load, statuses } from '../support/load.ts';
import { startUpstream } from '../support/loopback.ts';
import type { StartedProcess } from '../support/process.ts';

const BOUND_MS = 10_000;
const PER_SECOND = 40;

/** As Istio's bootstrap has it (tools/packaging/common/envoy_bootstrap.json of 1.31), before what an annotation adds. */
const ISTIO_KEEPS = [
  ...[
    'reporter=',
    'cluster_manager',
    'listener_manager',
    'server',
    'cluster.xds-grpc',
    'wasm',
    'component',
    'istio',
  ].map((prefix) => ({ prefix })),
  ...['rbac.allowed', 'rbac.denied', 'shadow_allowed', 'shadow_denied'].map((suffix) => ({ suffix })),
  { safe_regex: { regex: 'vhost\\..*\\.route\\..*' } },
];
const keeping = (suffixes: readonly string[]) => (bootstrap: string) => {
  const patterns = [...ISTIO_KEEPS, ...suffixes.map((suffix) => ({ suffix }))];
  return `${bootstrap}stats_config: ${JSON.stringify({ stats_matcher: { inclusion_list: { patterns } } })}\n`;
};

interface GuardedWorld {
  readonly world: World;
  readonly gate: GatedEnvoy;
  readonly bearerd: StartedProcess;
  /** Replaces the configuration file. */
  write(text: string): void;
  readonly text: string;
}

interface GuardedOptions {
  readonly upstreamPort?: number;
  readonly first?: typeof refusedVersion;
  /** What Envoy counts beyond Istio's own. */
  readonly kept?: readonly string[];
}

async function guardedWorld(
  t: TestContext,
  door: 'check' | 'attempt' | 'push',
  mode: string,
  { upstreamPort, first, kept = KEPT_STATISTICS }: GuardedOptions = {},
): Promise<GuardedWorld> {
  const world = await createWorld({
    ...(upstreamPort === undefined ? {} : { upstreamPort }),
    policy: `mode: ${mode}\n    guard: { requests: 20, good_after: 1s }`,
    settings: 'state_dir: state\nenvoy_admin: 127.0.0.1:1',
  });
  t.after(() => world.stop());
  const gate = await world.startEnvoy(door, keeping(kept));
  const admin = new URL(gate.envoy.adminUrl).host;
  const text = readFileSync(world.configFile, 'utf8').replace('127.0.0.1:1\n', `${admin}\n`);
  const write = (next: string) => writeFileSync(world.configFile, next);
  write(first === undefined ? text : first(world, text));
  const bearerd = await world.startBearerd();
  await world.ready();
  return { world, gate, bearerd, write, text };
}

/** The same policy with a credential that the upstream does not take. */
function refusedVersion(world: World, text: string): string {
  writeFileSync(join(world.folder, 'wrong'), 'not-a-token', { mode: 0o600 });
  return text.replace(
    /^ {4}client_credentials:\n(?: {6}.*\n)+/m,
    `    file: { path: ${world.folder}/wrong }\n`,
  );
}

describe('the guard of rollouts', { concurrency: true }, () => {
  for (const door of ['check', 'attempt', 'push'] as const) {
    it(`${door}: a version that draws 401 is stepped back within 10 s, over a restart, until another version comes`, async (t) => {
      const { world, gate, bearerd, write, text } = await guardedWorld(t, door, 'enforce');
      const send = async () => ({ ...(await gate.send('/v1/orders')), at: performance.now() });
      await until(async () => (await send()).status === 200);
      const sent: { status: number; at: number }[] = [];
      let done = false;
      const loading = (async () => {
        while (!done) sent.push(...(await load(send, PER_SECOND, 1)));
      })();
      await bearerd.waitForOutput(/ran without alarm/);

      const before = performance.now();
      write(refusedVersion(world, text));
      await bearerd.waitForOutput(/"alarm":"stepped_back"/);
      const tookMs = performance.now() - before;
      await sleep(1_500);
      done = true;
      await loading;
      const refused = sent.filter(({ status }) => status === 401);
      assert.ok(refused.length > 0, `${refused.length} requests were refused`);
      const answered = refused.map(({ at }) => at);
      const lasted = Math.max(...answered) - Math.min(...answered);
      t.diagnostic(
        `${door}: stepped back ${(tookMs / 1_000).toFixed(1)} s after the change; ${refused.length} refused in ${(lasted / 1_000).toFixed(1)} s`,
      );
      assert.ok(tookMs < BOUND_MS && lasted < BOUND_MS, `${tookMs} ms, ${lasted} ms`);
      assert.deepEqual(statuses(await load(send, PER_SECOND, 1)), { 200: PER_SECOND }, 'healthy again');
      assert.match(await world.readiness(), /^ok\nguard: orders was stepped back/);
      assert.match(await world.metrics(), /bearerd_guard_alarm\{policy="orders",outcome="stepped_back"\} 1/);

      await bearerd.stop();
      await world.startBearerd();
      await world.ready();
      await until(async () => (await send()).status === 200);
      assert.deepEqual(
        new Set((await load(send, PER_SECOND, 1)).map(({ status }) => status)),
        new Set([200]),
      );
      assert.match(await world.readiness(), /guard: orders was stepped back/);

      write(text.replace('requests: 20', 'requests: 21'));
      await until(async () => (await world.readiness()) === 'ok\n');
      assert.deepEqual(
        new Set((await load(send, PER_SECOND, 1)).map(({ status }) => status)),
        new Set([200]),
      );
      assert.doesNotMatch(await world.metrics(), /bearerd_guard_alarm\{/);
    });
  }

  for (const door of ['check', 'attempt'] as const) {
    it(`${door}: a share that draws 401 is withdrawn within 10 s, and not while the other share draws them too`, async (t) => {
      let outage = true;
      const port = await startUpstream(t, (request, response) => {
        response.statusCode = outage || request.headers.authorization === 'Bearer not-a-token' ? 401 : 200;
        response.end();
      });
      const { world, gate, bearerd } = await guardedWorld(t, door, '{ percent: 50, by: x-user-id }', {
        upstreamPort: port,
        first: refusedVersion,
      });
      let user = 0;
      const send = () =>
        gate.send('/v1/orders', {
          headers: { 'x-user-id': `user-${user++ % 40}`, authorization: 'Bearer of-the-app' },
        });
      assert.deepEqual(statuses(await load(send, PER_SECOND, 8)), { 401: PER_SECOND * 8 });
      assert.equal(await world.readiness(), 'ok\n', 'a general outage is no alarm');

      outage = false;
      const before = performance.now();
      const told = bearerd.waitForOutput(/"alarm":"withdrawn"/).then(() => performance.now() - before);
      const { 200: well = 0, 401: refused = 0 } = statuses(await load(send, PER_SECOND, 2));
      assert.ok(well > 0 && refused > 0, `${well} well, ${refused} refused`);
      let done = false;
      const ended = told.finally(() => {
        done = true;
      });
      while (!done) await load(send, PER_SECOND, 1);
      const tookMs = await ended;
      t.diagnostic(`${door}: withdrawn ${(tookMs / 1_000).toFixed(1)} s after the other share was well`);
      assert.ok(tookMs < BOUND_MS);
      assert.deepEqual(statuses(await load(send, PER_SECOND, 1)), { 200: PER_SECOND });
      assert.match(await world.readiness(), /^ok\nguard: orders was withdrawn/);
    });
  }

  it('push: an Envoy that counts what Istio counts blinds the guard, which says so; doctor says what to add', async (t) => {
    const { world, gate, bearerd } = await guardedWorld(t, 'push', 'enforce', { kept: [] });
    await until(async () => (await gate.send('/v1/orders')).status === 200);
    await bearerd.waitForOutput(
      /orders: Envoy keeps no statistics of its cluster.*sees none of its requests/,
    );
    const { guard } = JSON.parse(await command(world, 'status', '--json')) as { guard: { blind: string }[] };
    assert.match(guard[0]!.blind, /no statistics/);
    assert.match(
      await command(world, 'status'),
      /WARNING +policy orders +guard: the guard sees no request of it/,
    );
    const told = await command(world, 'doctor', '--envoy', gate.envoy.adminUrl);
    assert.match(
      told,
      /stats_matcher drops upstream_rq_completed, upstream_rq_401, credential_injector\.injected/,
    );
    assert.match(told, /-> .*proxyStatsMatcher/);
    assert.match(told, /policy orders: the guard sees no request of it/);
  });

  it('push: what a secret alone cannot bring back goes on and is told everywhere; the manifest that is printed does', async (t) => {
    const { world, gate, bearerd, write, text } = await guardedWorld(t, 'push', 'enforce');
    await until(async () => (await gate.send('/v1/orders')).status === 200);
    let done = false;
    t.after(() => {
      done = true;
    });
    const loading = (async () => {
      while (!done) await load(() => gate.send('/v1/orders'), PER_SECOND, 1);
    })();
    await bearerd.waitForOutput(/ran without alarm/);
    assert.equal(await command(world, 'doctor', '--envoy', gate.envoy.adminUrl), 'nothing is wrong\n');
    assert.doesNotMatch(bearerd.output(), /sees none of its requests/);
    write(refusedVersion(world, text).replace('[/v1/, /login, /always-401]', '[/v1/]'));
    const [line] = await bearerd.waitForOutput(/.*"alarm":"stepped_back".*/);
    assert.match(line, /"manifest":"its match was another: .*bearerd generate istio --stepped-back/);
    done = true;
    await loading;
    assert.equal((await gate.send('/v1/orders')).status, 401, 'Envoy is configured for the new version');
    assert.match(
      await command(world, 'status'),
      /through push version \w+ goes on: its match was another.*--stepped-back/,
    );
    assert.match(
      await command(world, 'doctor', '--envoy', gate.envoy.adminUrl),
      /policy orders: through push version \w+ goes on[\s\S]*-> "bearerd generate istio --stepped-back"/,
    );

    const upstreams = join(world.folder, 'upstreams.yaml');
    writeFileSync(upstreams, JSON.stringify(world.upstreams));
    const manifest = await command(
      world,
      ...['generate', 'envoy', '--door', 'push', '--upstreams', upstreams, '--listen', '127.0.0.1:0'],
      '--stepped-back',
    );
    assert.match(manifest, /always-401/, 'the match of before');
    const again = await world.startEnvoy('push', () => manifest);
    await until(async () => (await again.send('/v1/orders')).status === 200);
  });
});

/** Standard output of a verb for the world's configuration, whatever its exit code. */
async function command({ configFile }: World, ...args: readonly string[]): Promise<string> {
  const line = ['bin/bearerd.js', ...args, '--config', configFile];
  const failed = (error: { stdout: string }) => error;
  return (await promisify(execFile)(process.execPath, line).catch(failed)).stdout;
}

/** Envoy comes to a bearerd that starts after it by a back-off of its own. */
async function until(done: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 40_000;
  while (!(await done())) {
    assert.ok(performance.now() < end, 'within 40 s');
    await sleep(50);
  }
}
