// The demo runs as its user runs it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startProcess } from '../support/process.ts';

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
