// A policy on its way into force: watched, for a share of the callers, and off, through real Envoy and by reloads alone.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startedWorld } from '../support/world.ts';

for (const door of ['check', 'attempt'] as const) {
  test(`${door}: shadow counts and changes nothing, a share gets the credential, enforce gives it to all, off to none`, async (t) => {
    const world = await startedWorld(t, { policy: 'mode: { percent: 50, by: x-user-id }' });
    await world.ready();
    const { send } = await world.startEnvoy(door);
    const text = readFileSync(world.configFile, 'utf8');
    const asUser = async (user: number) =>
      (
        await send('/v1/orders', {
          headers: { 'x-user-id': `user-${user}`, authorization: 'Bearer of-the-app' },
        })
      ).status;
    const users = Array.from({ length: 40 }, (_, i) => i);
    async function into(mode: string): Promise<void> {
      const before = Number(/bearerd_configuration_revision (\d+)/.exec(await world.metrics())![1]);
      writeFileSync(world.configFile, text.replace('mode: { percent: 50, by: x-user-id }', mode));
      while (Number(/bearerd_configuration_revision (\d+)/.exec(await world.metrics())![1]) === before)
        await sleep(20);
    }

    const first = await Promise.all(users.map(asUser));
    const served = first.filter((status) => status === 200).length;
    t.diagnostic(`${served} of 40 users get the credential at 50 %`);
    assert.ok(served > 5 && served < 35, `${served}`);
    assert.deepEqual(await Promise.all(users.map(asUser)), first, 'the same users the second time');

    await into('mode: shadow');
    // The app's own header goes on: this upstream refuses it.
    assert.deepEqual(new Set(await Promise.all(users.map(asUser))), new Set([401]));
    // The attempt door counts attempts, and the 401 is tried once more.
    assert.match(await world.metrics(), /decision="pass",reason="shadow"\} (40|80)\n/);

    await into('mode: enforce');
    assert.deepEqual(new Set(await Promise.all(users.map(asUser))), new Set([200]));

    await into('mode: off');
    assert.deepEqual(new Set(await Promise.all(users.map(asUser))), new Set([401]));
  });
}
