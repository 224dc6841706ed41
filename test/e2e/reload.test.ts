// Another configuration takes over while requests go on.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createWorld } from '../../demo/world.ts';
import { startProcess } from '../support/process.ts';
import { reloadUnderLoad } from '../support/reloads.ts';
import { until } from '../support/until.ts';
import { startedWorld } from '../support/world.ts';

for (const door of ['check', 'push', 'attempt'] as const) {
  test(`${door}: 40 reloads under 200 requests/s, 4 of them broken, lose nothing`, (t) =>
    reloadUnderLoad(t, { door, reloads: 40, perSecond: 200 }));
}

for (const form of ['directory', 'bundle'] as const) {
  test(`check: 40 reloads under 200 requests/s, 4 of them broken, lose nothing, as a ${form}`, (t) =>
    reloadUnderLoad(t, { door: 'check', form, reloads: 40, perSecond: 200 }));
}

test('a changed file is in force within a second, and a broken one leaves the old policy in force', async (t) => {
  const world = await startedWorld(t);
  await world.ready();
  const { send } = await world.startEnvoy('check');
  assert.equal((await send('/v1/orders')).status, 200);
  const text = readFileSync(world.configFile, 'utf8');
  // The route is marked for the policy orders, so without it nothing is injected and the upstream refuses.
  const begun = performance.now();
  writeFileSync(world.configFile, text.replace('- name: orders', '- name: renamed'));
  while ((await send('/v1/orders')).status !== 401) await sleep(10);
  const took = performance.now() - begun;
  t.diagnostic(`in force after ${took.toFixed(0)} ms, bound 1 s`);
  assert.ok(took < 1_000, `${took} ms`);
  writeFileSync(world.configFile, 'version: 1\nlisten: {}\n');
  const isRefused = async () => /bearerd_configurations_refused_total 1/.test(await world.metrics());
  await until('the broken one refused', isRefused);
  assert.equal((await send('/v1/orders')).status, 401);
  writeFileSync(world.configFile, text);
  while ((await send('/v1/orders')).status !== 200) await sleep(10);
  assert.match(await world.metrics(), /bearerd_configuration_revision 3/);
});

for (const form of ['file', 'directory'] as const) {
  test(`the swap of a ConfigMap by the kubelet is followed, as a ${form}`, (t) => followsSwap(t, form));
}

async function followsSwap(t: TestContext, form: 'file' | 'directory'): Promise<void> {
  const world = await createWorld();
  t.after(() => world.stop());
  // As the kubelet lays out a volume: FILE -> ..data/FILE, ..data -> a folder of its time, exchanged by rename.
  const volume = join(world.folder, 'volume');
  const file = join(volume, 'bearerd.yaml');
  const text = readFileSync(world.configFile, 'utf8');
  const lay = (version: string, content: string): void => {
    mkdirSync(join(volume, version), { recursive: true });
    writeFileSync(join(volume, version, 'bearerd.yaml'), content);
    symlinkSync(version, join(volume, '..data_tmp'));
    renameSync(join(volume, '..data_tmp'), join(volume, '..data'));
  };
  lay('..2026_1', text);
  symlinkSync('..data/bearerd.yaml', file);
  const path = form === 'file' ? file : volume;
  const bearerd = await startProcess(process.execPath, ['bin/bearerd.js', 'serve', '--config', path], {
    name: 'bearerd',
  });
  t.after(() => bearerd.stop());
  await bearerd.waitForOutput(/"listener":"health","state":"listening"/);
  const begun = performance.now();
  lay('..2026_2', `${text}max_wait: 2s\n`);
  await bearerd.waitForOutput(/another configuration took over/);
  const took = performance.now() - begun;
  t.diagnostic(`in force after ${took.toFixed(0)} ms, bound 1 s`);
  assert.ok(took < 1_000, `${took} ms`);
}

test('what needs a restart is refused by name, and the configuration before stays in force', async (t) => {
  const world = await createWorld();
  t.after(() => world.stop());
  const bearerd = await world.startBearerd();
  await world.ready();
  const text = readFileSync(world.configFile, 'utf8');
  writeFileSync(world.configFile, text.replace('check.sock', 'other.sock'));
  await bearerd.waitForOutput(/listen: changed, which needs a restart/);
  assert.equal(await world.readyz(), 200);
});
