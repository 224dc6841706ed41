// A drained bearerd and the next one on the same sockets, under load through real Envoys: what the app sees of it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createWorld, type GatedEnvoy, OPEN } from '../../demo/world.ts';
import { type Sent, startTraffic } from '../support/traffic.ts';

/** From the next one's first answer to /readyz: Envoy's connections, and a busy machine. */
const AFTER_MS = 1_000;
/** Two clocks, one of whole milliseconds. */
const CLOCKS_MS = 3;

test('SIGTERM and the next process under 300 requests/s: push shows nothing, check and attempt 503 until it is ready', async (t) => {
  const world = await createWorld();
  t.after(() => world.stop());
  const bearerd = await world.startBearerd();
  await world.ready();
  const doors = new Map<string, GatedEnvoy>();
  for (const door of ['check', 'push', 'attempt'] as const) doors.set(door, await world.startEnvoy(door));
  const traffic = startTraffic(doors, 300);
  await sleep(700);

  const termAt = Date.now();
  bearerd.child.kill('SIGTERM');
  const { code } = await bearerd.exited;
  const exitedAt = Date.now();
  for (const door of doors.values())
    assert.equal((await door.send('/open', { host: OPEN })).status, 200, 'other routes do not notice');
  const startAt = Date.now();
  await world.startBearerd();
  await world.ready();
  const readyAt = Date.now();
  await sleep(AFTER_MS + 500);
  const sent = await traffic.stop();

  const lost = sent.filter(({ status }) => status !== 200);
  const last = Math.max(...lost.map(({ at, ms }) => at + ms));
  const by = (door: string) => lost.filter((one) => one.door === door).length;
  t.diagnostic(
    `exit after ${exitedAt - termAt} ms, the next one ready ${readyAt - startAt} ms after its start; of ${sent.length} requests check lost ${by('check')}, attempt ${by('attempt')}, push ${by('push')}; the last one ${last - readyAt} ms after it was ready (below ${AFTER_MS})`,
  );
  assert.equal(code, 0);
  assert.ok(exitedAt - termAt < 10_000);
  // One that was on its way to bearerd when the signal came may find nobody; what bearerd had is answered (integration/drain).
  const isAllowed = ({ door, at, ms, status }: Sent): boolean =>
    door !== 'push' && status === 503 && at + ms + CLOCKS_MS >= termAt && at <= readyAt + AFTER_MS;
  const wrong = lost.filter((one) => !isAllowed(one));
  assert.deepEqual(wrong.slice(0, 5), [], `${wrong.length} of ${lost.length}`);
  assert.ok(by('check') > 0 && by('attempt') > 0, 'the test saw the gap');
  assert.equal(world.upstream.refused, 0, 'nothing left without our credential');
});

test('a restart while the provider takes three seconds is not noticed through push', async (t) => {
  const world = await createWorld();
  t.after(() => world.stop());
  let bearerd = await world.startBearerd();
  await world.ready();
  const push = await world.startEnvoy('push');
  assert.equal((await push.send('/v1/orders')).status, 200);
  const traffic = startTraffic(new Map([['push', push]]), 50);
  world.provider.delayMs = 3_000;
  // Envoy comes back by its own back-off, now and then later than the credential: then once more.
  for (let restarts = 1; ; restarts++) {
    bearerd.child.kill('SIGTERM');
    await bearerd.exited;
    bearerd = await world.startBearerd();
    await bearerd.waitForOutput(/Envoy subscribed to a secret/);
    if ((await world.readyz()) === 503) break;
    assert.ok(restarts < 6, 'Envoy comes back before there is a credential');
  }
  await world.ready();
  await sleep(300);
  const sent = await traffic.stop();
  const lost = sent.filter(({ status }) => status !== 200);
  t.diagnostic(`${lost.length} of ${sent.length} requests lost`);
  assert.deepEqual(lost.slice(0, 3), []);
});
