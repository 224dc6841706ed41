// npm run outage: two outages under load, each figure within its bound.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startProcess } from '../support/process.ts';

test('an hour in a minute: nothing lost while a credential lives, no expired one sent, recovery within a second', async (t) => {
  const run = await startProcess(process.execPath, ['demo/outage/run.ts'], { name: 'npm run outage' });
  const { code } = await run.exited;
  const output = run.output();
  for (const line of output.split('\n').filter((l) => /^[a-z_]+ -?\d+ /.test(l))) t.diagnostic(line);
  const value = (name: string) =>
    Number(new RegExp(`^${name} (-?\\d+) `, 'm').exec(output)?.[1] ?? Number.NaN);
  assert.equal(value('requests_lost'), 0, output);
  assert.equal(value('expired_sent'), 0);
  assert.ok(value('requests_denied') > 0);
  assert.ok(value('recovery_ms') <= 1_000);
  assert.equal(code, 0);
});
