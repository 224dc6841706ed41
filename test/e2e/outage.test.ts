// The provider or bearerd away: what still serves, what answers 503, and how soon it is over.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createWorld, OPEN } from '../../demo/world.ts';
import { until } from '../support/until.ts';
import { startedWorld } from '../support/world.ts';

for (const door of ['check', 'push', 'attempt'] as const) {
  test(`${door}: with the provider down at start, other routes serve within 2 s and ours recover within 1 s`, async (t) => {
    const world = await startedWorld(t, { providerDown: true });
    assert.equal(await world.readyz(), 503);
    const begun = performance.now();
    const { send } = await world.startEnvoy(door);
    const other = await send('/open', { host: OPEN });
    const otherMs = performance.now() - begun;
    assert.equal(other.status, 200);
    t.diagnostic(`other routes served after ${otherMs.toFixed(0)} ms (at most 2000)`);
    assert.ok(otherMs <= 2_000, `${otherMs} ms`);

    const ours = await send('/v1/orders');
    assert.equal(ours.status, 503, ours.body);
    t.diagnostic(`denied in ${ours.ms.toFixed(0)} ms (at most 1000: an answer, and no time limit's)`);
    assert.ok(ours.ms <= 1_000, `${ours.ms} ms`);
    assert.ok(Number(ours.headers['retry-after']) >= 1, 'Retry-After');
    assert.match(ours.body, /source_unavailable|no_credential|credential/);
    assert.equal(world.upstream.refused, 0, 'nothing reaches the upstream');

    // Somebody goes on asking, as apps do.
    await world.provider.start();
    const back = performance.now();
    let answer = await send('/v1/orders');
    while (answer.status !== 200 && performance.now() - back < 5_000) {
      await sleep(20);
      answer = await send('/v1/orders');
    }
    const recoveredMs = performance.now() - back;
    t.diagnostic(`recovered ${recoveredMs.toFixed(0)} ms after the provider's return (at most 1000)`);
    assert.equal(answer.status, 200);
    assert.ok(recoveredMs <= 1_000, `${recoveredMs} ms`);
    assert.equal(await world.readyz(), 200);
  });
}

test('probes: an outage holds the start up for startup_wait, keeps readiness away, and once reached it stays; liveness never depends on it', async (t) => {
  const world = await startedWorld(t, {
    providerDown: true,
    lifetimeSeconds: 3,
    settings: 'startup_wait: 2s',
  });
  const { probe } = world;
  const begun = performance.now();
  assert.deepEqual(
    [await probe('/startupz'), await probe('/readyz'), await probe('/livez')],
    [503, 503, 200],
  );
  await until('started', async () => (await probe('/startupz')) === 200);
  t.diagnostic(`started after ${(performance.now() - begun).toFixed(0)} ms (startup_wait 2000)`);
  assert.deepEqual([await probe('/readyz'), await probe('/livez')], [503, 200]);
  await world.provider.start();
  await world.ready();
  await world.provider.stop();
  // None lives any more.
  const ended = /bearerd_credential_runway_seconds\{source="orders"\} 0\b/;
  await until('the end of the credential', async () => ended.test(await world.metrics()));
  assert.deepEqual(
    [await probe('/startupz'), await probe('/readyz'), await probe('/livez')],
    [200, 200, 200],
  );
});

test('a first credential that takes its time is waited for, and one that takes too long is denied before Envoy gives up', async (t) => {
  const world = await createWorld({ settings: 'max_wait: 2s' });
  t.after(() => world.stop());
  for (const door of ['check', 'attempt'] as const) {
    const { send, envoy } = await world.startEnvoy(door);
    for (const [delayMs, status] of [
      [600, 200],
      [4_000, 503],
    ] as const) {
      world.provider.delayMs = delayMs;
      const bearerd = await world.startBearerd();
      const answer = await send('/v1/orders');
      t.diagnostic(
        `${door}: provider in ${delayMs} ms, answered ${answer.status} in ${answer.ms.toFixed(0)} ms`,
      );
      assert.equal(answer.status, status, answer.body);
      assert.ok(answer.ms < 2_700, `${answer.ms} ms`);
      if (status === 503) assert.match(answer.body, /"reason":"credential_pending"/);
      await bearerd.stop();
    }
    const stats = await envoy.stats('cluster.bearerd_check');
    for (const fault of ['upstream_rq_timeout', 'upstream_rq_per_try_timeout']) {
      assert.equal(stats.get(`cluster.bearerd_check.${fault}`) ?? 0, 0, fault);
    }
  }
});

test('a killed bearerd: check answers 503 on its own routes only, push goes on, and both are whole after the restart', async (t) => {
  const world = await createWorld();
  t.after(() => world.stop());
  const bearerd = await world.startBearerd();
  await world.ready();
  const check = await world.startEnvoy('check');
  const push = await world.startEnvoy('push');
  assert.equal((await check.send('/v1/orders')).status, 200);
  assert.equal((await push.send('/v1/orders')).status, 200);

  bearerd.child.kill('SIGKILL');
  await bearerd.exited;
  assert.equal((await check.send('/v1/orders')).status, 503);
  assert.equal((await check.send('/open', { host: OPEN })).status, 200);
  for (let i = 0; i < 50; i++) assert.equal((await push.send('/v1/orders')).status, 200);

  await world.startBearerd();
  const back = performance.now();
  let answer = await check.send('/v1/orders');
  while (answer.status !== 200 && performance.now() - back < 30_000) {
    await sleep(50);
    answer = await check.send('/v1/orders');
  }
  assert.equal(answer.status, 200);
  assert.equal((await push.send('/v1/orders')).status, 200);
});

test('a provider that goes away is not noticed while the token lives', async (t) => {
  const world = await startedWorld(t);
  const { send } = await world.startEnvoy('check');
  assert.equal((await send('/v1/orders')).status, 200);
  await world.provider.stop();
  for (let i = 0; i < 100; i++) assert.equal((await send('/v1/orders')).status, 200);
  assert.equal(world.upstream.refused, 0);
});

test('no token and no secret is in the log, the metrics or the admin page', async (t) => {
  const world = await createWorld();
  t.after(() => world.stop());
  const bearerd = await world.startBearerd();
  const { send } = await world.startEnvoy('push');
  await send('/v1/orders');
  world.upstream.revoke();
  await send('/v1/orders');
  const told = bearerd.output() + (await world.metrics());
  assert.match(told, /credential published/);
  assert.doesNotMatch(told, /eyJ|demo\+secret|\/v1\/orders/);
});
