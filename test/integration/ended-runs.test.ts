// What a test or the demo starts ends with it, also when a signal ends it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { until } from '../support/until.ts';

const SCRIPT = `
const { startProcess } = await import('./test/support/process.ts');
const { pid } = await startProcess('sleep', ['600']);
process.stdout.write(String(pid));
await new Promise(() => {});
`;

for (const [signal, code] of [
  ['SIGTERM', 143],
  ['SIGINT', 130],
] as const) {
  test(`${signal} leaves no process behind`, async () => {
    const run = spawn(process.execPath, ['--input-type=module', '-e', SCRIPT]);
    const [text] = (await once(run.stdout, 'data')) as [Buffer];
    const child = Number(String(text));
    assert.ok(isThere(child));
    run.kill(signal);
    assert.deepEqual(await once(run, 'exit'), [code, null]);
    await until('the end of the child', () => !isThere(child));
  });
}

/** Dead is also what nobody has waited for yet. */
function isThere(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}
