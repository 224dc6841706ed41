// A signed bundle decides over real requests: its policy comes, goes, survives a restart without the server, and a replay of
// what was changes nothing.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createWorld } from '../../demo/world.ts';
import { BUNDLE_NAME, createBundleSigner, startBundleServer } from '../support/policy-bundles.ts';

test('a policy of a bundle comes into force and leaves it within its poll; a replay and a restart change nothing', async (t) => {
  const world = await createWorld();
  t.after(() => world.stop());
  const server = await startBundleServer(world.authority);
  t.after(() => server.stop());
  const signer = createBundleSigner();
  writeFileSync(join(world.folder, 'bundle-keys.pem'), signer.publicPem);
  const [local, policies] = readFileSync(world.configFile, 'utf8').split(/^(?=outbound:)/m) as [
    string,
    string,
  ];
  writeFileSync(
    world.configFile,
    `${local}state_dir: ${world.folder}
policy_bundle:
  { url: "${server.url}", name: ${BUNDLE_NAME}, keys: bundle-keys.pem, ca_file: ${world.authority.ca}, poll: 1s, allow: { sources: [orders] } }
`,
  );
  const withPolicy = (serial: number) => signer.sign(serial, { 'orders.yaml': `version: 1\n${policies}` });
  const withoutPolicy = (serial: number) => signer.sign(serial, { 'none.yaml': 'version: 1\n' });
  const first = await withPolicy(1);
  server.content = first;
  const bearerd = await world.startBearerd();
  await world.ready();
  const { send } = await world.startEnvoy('check');
  const status = async () => (await send('/v1/orders')).status;
  const becomes = async (expected: number): Promise<number> => {
    const begun = performance.now();
    while ((await status()) !== expected) {
      assert.ok(performance.now() - begun < 30_000, `no ${expected} within 30 s`);
      await sleep(20);
    }
    return performance.now() - begun;
  };
  assert.equal(await status(), 200);

  server.content = await withoutPolicy(2);
  t.diagnostic(`gone after ${(await becomes(401)).toFixed(0)} ms, poll 1 s`);
  server.content = first;
  await bearerd.waitForOutput(/"reason":"serial 1 is older than 2"/);
  assert.equal(await status(), 401, 'a replay does not bring it back');
  assert.match(await world.metrics(), /bearerd_inputs_refused_total\{input="policy bundle"\} [1-9]/);
  assert.match(await world.metrics(), /bearerd_policy_bundle_serial 2\n/);

  server.content = await withPolicy(3);
  t.diagnostic(`back after ${(await becomes(200)).toFixed(0)} ms, poll 1 s`);
  server.answer = (_, response) => void response.socket!.destroy();
  await bearerd.stop();
  await world.startBearerd();
  await world.ready();
  await becomes(200);
  assert.match(await world.metrics(), /bearerd_policy_bundle_serial 3\n/);
});
