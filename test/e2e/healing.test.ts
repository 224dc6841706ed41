// A token revoked at the upstream: the app does not notice through the push door.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { load, statuses } from '../support/load.ts';
import { until } from '../support/until.ts';
import { startedWorld } from '../support/world.ts';

for (const version of ['1.40.0', '1.36.2'] as const) {
  test(`Envoy ${version}: the refused request itself is answered 200 after one renewal`, async (t) => {
    const world = await startedWorld(t, { version });
    await world.ready();
    const { envoy, send } = await world.startEnvoy('push');
    assert.equal((await send('/v1/orders')).status, 200);
    await sleep(200); // Envoy's acknowledgement must be older than 50 ms
    world.upstream.revoke();
    const healed = await send('/v1/orders');
    t.diagnostic(`healed in ${healed.ms.toFixed(0)} ms`);
    assert.equal(healed.status, 200, healed.body);
    assert.equal(world.provider.tokenCalls, 2);

    // More than Envoy keeps is not sent again: counted there, and the next request is healed.
    await sleep(200);
    world.upstream.revoke();
    const body = 'x'.repeat(2 << 20);
    // The upstream's answer, or Envoy's own where the body outgrew the buffer between two attempts.
    const { status } = await send('/v1/orders', { method: 'POST', body });
    assert.ok(status === 401 || status === 507, `${status}`);
    const [abandoned] = (await envoy.stats('orders.*retry_or_shadow_abandoned')).values();
    assert.equal(abandoned, 1);
    await until('the next request', async () => (await send('/v1/orders')).status === 200);
  });
}

for (const run of [1, 2, 3]) {
  test(`300 requests/s for 10 s, four revocations, provider answering in 100 ms, run ${run}: nothing but 200`, async (t) => {
    const world = await startedWorld(t);
    await world.ready();
    world.provider.delayMs = 100;
    const { send } = await world.startEnvoy('push');
    assert.equal((await send('/v1/orders')).status, 200);
    await sleep(500);
    const revocations = (async () => {
      for (let i = 0; i < 4; i++) {
        await sleep(1_000 + i * 500);
        world.upstream.revoke();
      }
    })();
    const answers = await load(() => send('/v1/orders'), 300, 10);
    await revocations;
    const slowest = Math.max(...answers.map(({ ms }) => ms));
    t.diagnostic(
      `${JSON.stringify(statuses(answers))}, slowest ${slowest.toFixed(0)} ms, ${world.provider.tokenCalls} token calls, ${world.upstream.refused} refused attempts`,
    );
    assert.deepEqual(statuses(answers), { 200: 3_000 });
    assert.ok(
      world.provider.tokenCalls <= 6,
      `${world.provider.tokenCalls} token calls for four revocations`,
    );
  });
}

test('through the check door the next request is healed', async (t) => {
  const world = await startedWorld(t);
  const { send } = await world.startEnvoy('check');
  assert.equal((await send('/v1/orders')).status, 200);
  world.upstream.revoke();
  assert.equal((await send('/v1/orders')).status, 401);
  const begun = performance.now();
  let status = 401;
  while (status !== 200 && performance.now() - begun < 20_000) {
    await sleep(10);
    status = (await send('/v1/orders')).status;
  }
  t.diagnostic(`healed after ${(performance.now() - begun).toFixed(0)} ms`);
  assert.equal(status, 200);
});

test('heal_on: invalid_token: a wrong password at a login endpoint is asked once and renews nothing', async (t) => {
  const world = await startedWorld(t, { policy: 'heal_on: invalid_token' });
  await world.ready();
  const { send } = await world.startEnvoy('push');
  assert.equal((await send('/v1/orders')).status, 200);
  await sleep(200);
  const before = world.upstream.refused;
  assert.equal((await send('/login', { method: 'POST' })).status, 401);
  assert.equal(world.upstream.refused, before + 1, 'the upstream saw it once');
  await sleep(300);
  assert.equal(world.provider.tokenCalls, 1);
  // A challenge that says so does heal.
  world.upstream.revoke();
  assert.equal((await send('/v1/orders')).status, 200);
  assert.equal(world.provider.tokenCalls, 2);
});

test('heal_on: 401: one path that always answers 401 harms none of 300 requests/s to others', async (t) => {
  const world = await startedWorld(t);
  await world.ready();
  const { send } = await world.startEnvoy('push');
  assert.equal((await send('/v1/orders')).status, 200);
  await sleep(200);
  const [others, refused] = await Promise.all([
    load(() => send('/v1/orders'), 300, 5),
    load(() => send('/always-401'), 5, 5),
  ]);
  t.diagnostic(`others ${JSON.stringify(statuses(others))}, ${world.provider.tokenCalls} token calls`);
  assert.deepEqual(statuses(others), { 200: 1_500 });
  assert.deepEqual(statuses(refused), { 401: 25 });
  assert.ok(world.provider.tokenCalls <= 8, `${world.provider.tokenCalls} token calls`);
});
