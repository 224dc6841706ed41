// rate_limit of an outgoing policy, through real Envoy by the doors that see requests; push says no.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parseConfig } from '../../src/config/parse.ts';
import { pushRefusals } from '../../src/doors/generate/push-refusals.ts';
import { startedWorld } from '../support/world.ts';

for (const door of ['check', 'attempt'] as const) {
  test(`${door}: above the limit the app gets 429 with Retry-After, and the upstream nothing`, async (t) => {
    const world = await startedWorld(t, { policy: 'rate_limit: { requests: 3, per: 1h }' });
    await world.ready();
    const { send } = await world.startEnvoy(door);
    for (let i = 0; i < 3; i++) assert.equal((await send('/v1/orders')).status, 200);
    const accepted = world.upstream.accepted;
    const limited = await send('/v1/orders');
    assert.equal(limited.status, 429);
    assert.equal(limited.headers['x-bearerd-reason'], 'rate_limited');
    const wait = Number(limited.headers['retry-after']);
    assert.ok(wait > 1_100 && wait <= 1_200, `${wait} s`);
    assert.equal(world.upstream.accepted, accepted);
    assert.match(await world.metrics(), /reason="rate_limited"[^\n]* 1/);
  });
}

test('push cannot serve it and says so', async (t) => {
  const world = await startedWorld(t, { policy: 'rate_limit: { requests: 3 }' });
  const config = parseConfig(readFileSync(world.configFile, 'utf8'), world.configFile);
  assert.match(pushRefusals(config, config.outbound[0]!).join(), /rate_limit cannot be served by push/);
});
