// bearerd log-level, and two processes on one audit file, each with real processes.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { startProcess } from '../../support/process.ts';

function written(t: TestContext, name: string, more = ''): string {
  const folder = mkdtempSync(join(tmpdir(), `bearerd-${name}-`));
  t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }));
  const file = join(folder, 'bearerd.yaml');
  writeFileSync(join(folder, 'key'), 'canary-value\n');
  const text = `version: 1
listen: { check: "unix://${folder}/check.sock", admin: "unix://${folder}/admin.sock" }
sources:
  legacy: { file: { path: key } }
outbound:
  - { name: maps, match: { hosts: [maps.example.com] }, inject: { source: legacy } }
${more}`;
  writeFileSync(file, text);
  return file;
}

const run = async (...args: string[]) => {
  const started = await startProcess(process.execPath, ['bin/bearerd.js', ...args]);
  const { code } = await started.exited;
  return { code, output: started.output() };
};
const serve = async (t: TestContext, file: string) => {
  const started = await startProcess(process.execPath, ['bin/bearerd.js', 'serve', '--config', file]);
  t.after(() => started.stop());
  return started;
};

test('the log level of a running bearerd is shown and changed, with a line that says so, and nothing else is taken', async (t) => {
  const file = written(t, 'level');
  const bearerd = await serve(t, file);
  await bearerd.waitForOutput(/"listener":"admin","state":"listening"/);
  assert.deepEqual(await run('log-level', '--config', file), { code: 0, output: 'info\n' });
  assert.deepEqual(await run('log-level', '--config', file, 'error'), { code: 0, output: 'error\n' });
  await bearerd.waitForOutput(/"level":"error","before":"info".*the log level was changed|"before":"info"/);
  assert.deepEqual(await run('log-level', '--config', file), { code: 0, output: 'error\n' });
  const wrong = await run('log-level', '--config', file, 'loud');
  assert.equal(wrong.code, 1);
  assert.match(wrong.output, /expected one of trace, debug, info, warn, error/);
  const before = bearerd.output();
  await bearerd.stop();
  assert.equal(bearerd.output(), before, 'lines of info are not written any more');
});

test('a second process on an audit file does not start, and says why; after the first one it does', async (t) => {
  const audit = (file: string) => `audit: { sink: { file: ${file} } }\n`;
  const first = written(t, 'audit', audit('audit.jsonl'));
  const trail = join(first, '..', 'audit.jsonl');
  const second = written(t, 'audit', audit(trail));
  const holder = await serve(t, first);
  await holder.waitForOutput(/"listener":"admin","state":"listening"/);
  const refused = await run('serve', '--config', second);
  assert.equal(refused.code, 1);
  assert.match(
    refused.output,
    /cannot start: audit\.sink: another process holds .*audit\.jsonl; each process needs an audit file of its own/,
  );
  await holder.stop();
  const next = await serve(t, second);
  await next.waitForOutput(/"listener":"admin","state":"listening"/);
  assert.equal((await next.stop()).code, 0);
});
