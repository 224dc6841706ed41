// The demo runs as its user runs it.
import assert from 'node:assert/strict';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startProcess } from '../support/process.ts';
import { startedWorld } from '../support/world.ts';

test('the demo tells its story within two minutes and ends with exit code 0 and a table', async (t) => {
  const begun = performance.now();
  const demo = await startProcess(process.execPath, ['demo/run.ts'], { name: 'demo' });
  const timer = setTimeout(() => void demo.stop(), 120_000);
  const { code } = await demo.exited;
  clearTimeout(timer);
  const seconds = (performance.now() - begun) / 1_000;
  t.diagnostic(`${seconds.toFixed(1)} s (at most 120)`);
  assert.equal(code, 0, demo.output());
  assert.ok(seconds <= 120);
  assert.match(demo.output(), /token is revoked.*same request is healed\s+1\s+1\s+0/);
  assert.doesNotMatch(demo.output(), /eyJ|\u001b/, 'no token, and plain lines in a pipe');
});

test('a demo that is ended in the middle leaves no process, no port and no key behind', async (t) => {
  const folder = join(tmpdir(), `bearerd-demo-${process.pid}`);
  t.after(() => rm(folder, { recursive: true, force: true }));
  await mkdir(folder);
  const demo = await startProcess(process.execPath, ['demo/run.ts'], {
    name: 'demo',
    env: { ...process.env, TMPDIR: folder },
  });
  const [, push] = await demo.waitForOutput(/push (http:\S+), attempt.*the push door: Envoy has/s, 60_000);
  demo.child.kill('SIGTERM');
  assert.deepEqual(await demo.exited, { code: 143, signal: null }, demo.output());
  assert.doesNotMatch(demo.output(), /failed/);
  await assert.rejects(fetch(push!), 'its Envoy has ended');
  assert.deepEqual(await readdir(folder), []);
});

test('a demo that waits in vain for a credential says for which, and does not wait for ever', async (t) => {
  const world = await startedWorld(t, { providerDown: true });
  await assert.rejects(world.ready(100), /bearerd is not ready: .*orders/s);
});
