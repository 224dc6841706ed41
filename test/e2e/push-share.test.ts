// A policy that is in force in a share of the pods, through the push door of every supported Envoy and by reloads alone:
// outside the share the request is the app's own, inside it carries the credential or ends.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { createWorld } from '../../demo/world.ts';
import { TESTED_ENVOYS } from '../support/envoy.ts';
import { startUpstream } from '../support/loopback.ts';
import { until } from '../support/until.ts';

for (const version of TESTED_ENVOYS) {
  test(`Envoy ${version}: a pod is in the share or out of it, and an app cannot say which`, async (t) => {
    let attempts = 0;
    const upstreamPort = await startUpstream(t, (request, response) => {
      response.statusCode = request.url === '/v1/refused' ? 401 : 200;
      attempts++;
      response.end(JSON.stringify(request.headers));
    });
    const world = await createWorld({
      version,
      policy: 'mode: { percent: 0 }',
      upstreamPort,
    });
    t.after(() => world.stop());
    const bearerd = await world.startBearerd();
    await world.ready();
    const { send } = await world.startEnvoy('push');
    const get = async (path = '/v1/orders') => {
      const { status, body } = await send(path, {
        headers: { authorization: 'Bearer of-the-app', 'x-bearerd-share': 'in' },
      });
      return { status, headers: status === 503 ? {} : (JSON.parse(body) as Record<string, string>) };
    };
    const text = readFileSync(world.configFile, 'utf8');
    const isOurs = async (): Promise<boolean> =>
      (await get()).headers['authorization'] !== 'Bearer of-the-app';
    async function into(mode: string, ours: boolean): Promise<void> {
      writeFileSync(world.configFile, text.replace('mode: { percent: 0 }', `mode: ${mode}`));
      await until(`${mode} in force`, async () => (await isOurs()) === ours);
    }

    assert.deepEqual(
      [(await get()).headers['authorization'], (await get()).headers['x-bearerd-share']],
      ['Bearer of-the-app', undefined],
    );
    const before = attempts;
    assert.equal((await get('/v1/refused')).status, 401);
    assert.equal(attempts, before + 1, 'a refusal of what the app sent is repeated by nobody');
    const isTold = async () => /refusals_total\{.*verdict="not_ours"\} 1\n/.test(await world.metrics());
    await until('the refusal is told', isTold);

    await into('{ percent: 100 }', true);
    assert.equal((await get()).headers['x-bearerd-share'], undefined);
    await into('shadow', false);
    await into('enforce', true);
    await into('off', false);
    await into('{ percent: 100 }', true);
    await bearerd.stop();
    assert.ok(await isOurs(), 'without bearerd Envoy goes on as before');
  });
}

test('an Envoy that bearerd never told of the share counts as outside, and one inside without a credential ends the request', async (t) => {
  const world = await createWorld({ policy: 'mode: { percent: 100 }', providerDown: true });
  t.after(() => world.stop());
  const { send } = await world.startEnvoy('push');
  assert.equal((await send('/v1/orders')).status, 401);
  await world.startBearerd();
  // Envoy comes back by its own back-off.
  await until('503', async () => (await send('/v1/orders')).status === 503, 60_000);
});
