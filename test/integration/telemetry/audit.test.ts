// The audit trail on a real disk, and the command that verifies it.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { audit as auditCommand } from '../../../src/cli/audit.ts';
import { Secret } from '../../../src/lib/secret.ts';
import { createAuditFile } from '../../../src/telemetry/audit/audit-file.ts';
import { createAuditLog } from '../../../src/telemetry/audit/audit-log.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { until } from '../../support/until.ts';

const DAY = 86_400_000;

function trail(folder: string, rotateBytes = 1 << 20) {
  const clock = new FakeClock(Date.now());
  const path = join(folder, 'audit.jsonl');
  const start = () =>
    createAuditLog({
      sink: createAuditFile({ path, rotateBytes, keepDays: 90, clock }),
      key: async () => new Secret('key'),
      node: 'pod-1',
      clock,
      onSink: (state, reason) => assert.fail(`${state} ${reason}`),
    });
  return { clock, path, start };
}

async function verify(...args: string[]): Promise<{ code: number; text: string }> {
  let text = '';
  const write = (line: string) => {
    text += line;
  };
  const code = await auditCommand.run(['verify', ...args], {
    env: {},
    version: '0',
    out: write,
    err: write,
    ended: new AbortController().signal,
  } as Parameters<typeof auditCommand.run>[1]);
  return { code, text };
}

function folderWithKey(): { folder: string; key: string } {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-audit-'));
  const key = join(folder, 'key');
  writeFileSync(key, 'key\n');
  return { folder, key };
}

test('a trail over rotated files is whole, and its last head is in it', async () => {
  const { folder, key } = folderWithKey();
  const { path, start } = trail(folder, 2_000);
  let head = { seq: 0, mac: '' };
  // One that is stopped has written everything, so each run finds a file that is large enough.
  for (let run = 0; run < 4; run++) {
    const log = start();
    for (let i = 0; i < 10; i++) log.record('injected', { policy: 'orders', i });
    await log.stop();
    head = log.head()!;
  }
  const rotated = readdirSync(folder).filter((name) => /^audit-.*\.jsonl$/.test(name));
  assert.ok(rotated.length >= 2, `${rotated}`);
  const { code, text } = await verify(path, '--key', key, '--head', `${head.seq}:${head.mac}`);
  assert.deepEqual([code, text], [0, '40 records, 1 to 40: whole\n']);
});

test('a changed record and a cut tail are told by file and line', async () => {
  const { folder, key } = folderWithKey();
  const { path, start } = trail(folder);
  const log = start();
  for (let i = 0; i < 5; i++) log.record('injected', { policy: 'orders', i });
  await log.stop();
  const head = log.head()!;
  const whole = readFileSync(path, 'utf8');
  writeFileSync(path, whole.replace('"i":2', '"i":7'));
  const changed = await verify(path, '--key', key);
  assert.equal(changed.code, 1);
  assert.match(changed.text, /audit\.jsonl:3: this record was changed/);
  writeFileSync(path, whole.split('\n').slice(0, 3).join('\n').concat('\n'));
  const cut = await verify(path, '--key', key, '--head', `${head.seq}:${head.mac}`);
  assert.equal(cut.code, 1);
  assert.match(cut.text, /record 5 of --head is not there/);
});

test('half a line of a killed process is cut off, and the chain goes on', async () => {
  const { folder, key } = folderWithKey();
  const { path, start } = trail(folder);
  const first = start();
  first.record('started', {});
  await first.stop();
  appendFileSync(path, '{"seq":2,"time":"20');
  const second = start();
  second.record('started', {});
  await second.stop();
  assert.equal((await verify(path, '--key', key)).text, '2 records, 1 to 2: whole\n');
});

test('files end after keep_days, counted from their last record', async () => {
  const { folder } = folderWithKey();
  const { clock, path, start } = trail(folder);
  const old = join(folder, 'audit-2020-01-01.1.jsonl');
  const kept = join(folder, 'audit-2020-01-02.1.jsonl');
  for (const file of [old, kept]) writeFileSync(file, '{}\n');
  utimesSync(old, new Date(), new Date(clock.now() - 91 * DAY));
  utimesSync(kept, new Date(), new Date(clock.now() - 88 * DAY));
  const log = start();
  log.record('injected', { i: 1 });
  await until('written', () => existsSync(path) && readFileSync(path, 'utf8').endsWith('\n'));
  await clock.advance(DAY);
  log.record('injected', { i: 2 });
  await log.stop();
  const names = readdirSync(folder).filter((name) => name.endsWith('.jsonl'));
  assert.ok(!names.includes('audit-2020-01-01.1.jsonl'), `${names}`);
  assert.ok(names.includes('audit-2020-01-02.1.jsonl'), `${names}`);
  assert.equal(readFileSync(path, 'utf8').trimEnd().split('\n').length, 1);
});

test('a line separator of Unicode in a field is no line break to who verifies', async () => {
  const { folder, key } = folderWithKey();
  const { path, start } = trail(folder);
  const log = start();
  log.record('secret_rejected', { secret: 'named by a peer\u2028{"seq":1}\u2029\u0085' });
  log.record('stopped', {});
  await log.stop();
  assert.equal((await verify(path, '--key', key)).text, '2 records, 1 to 2: whole\n');
});

test('a rotated file is never written over, also when an earlier one of the day is gone', async () => {
  const { folder } = folderWithKey();
  const { path, start } = trail(folder, 300);
  const log = start();
  const rotated = () => readdirSync(folder).filter((name) => /^audit-.*\.jsonl$/.test(name));
  let written = 0;
  const write = async () => {
    const i = ++written;
    log.record('injected', { i, pad: 'x'.repeat(300) });
    const isThere = () => existsSync(path) && readFileSync(path, 'utf8').includes(`"i":${i},`);
    await until('written', isThere);
  };
  for (let i = 0; i < 3; i++) await write();
  const [first, second] = rotated().sort() as [string, string];
  const kept = readFileSync(join(folder, second), 'utf8');
  rmSync(join(folder, first));
  await write();
  await write();
  await log.stop();
  assert.equal(readFileSync(join(folder, second), 'utf8'), kept);
  assert.ok(readFileSync(path, 'utf8').length > 0);
});

test('a link in place of the file is not followed: what it points to stays as it is', async () => {
  const { folder } = folderWithKey();
  const target = join(folder, 'target');
  const path = join(folder, 'linked.jsonl');
  writeFileSync(target, 'half a line of somebody else');
  symlinkSync(target, path);
  const file = createAuditFile({
    path,
    rotateBytes: 1 << 20,
    keepDays: 90,
    clock: new FakeClock(Date.now()),
  });
  await assert.rejects(file.append('{}\n'), { code: 'ELOOP' });
  assert.equal(readFileSync(target, 'utf8'), 'half a line of somebody else');
});

test('records do not go on into a file that was removed or moved away: a new one takes them, in the same chain', async () => {
  const { folder, key } = folderWithKey();
  const { path, start } = trail(folder);
  const log = start();
  const record = async (i: number) => {
    log.record('injected', { i });
    while (log.head()?.seq !== i) await new Promise((resolve) => setTimeout(resolve, 2));
  };
  await record(1);
  renameSync(path, join(folder, 'moved'));
  await record(2);
  const moved = readFileSync(join(folder, 'moved'), 'utf8');
  assert.equal(moved.split('\n').length, 2, 'the moved one stays as it is');
  rmSync(path);
  await record(3);
  await record(4);
  await log.stop();
  assert.equal((await verify(path, '--key', key)).text, '2 records, 3 to 4: whole\n');
});

test('a clock that was set back over a rotation does not put the files of the trail into another order', async () => {
  const { folder, key } = folderWithKey();
  const { clock, path, start } = trail(folder);
  const today = clock.now();
  for (const days of [0, 2, 0, 1, 3]) {
    clock.setWall(today + days * DAY);
    const log = start();
    log.record('injected', { days });
    await log.stop();
    utimesSync(path, new Date(clock.now()), new Date(clock.now()));
  }
  assert.ok(readdirSync(folder).filter((name) => /^audit-.*\.jsonl$/.test(name)).length >= 3);
  assert.equal((await verify(path, '--key', key)).text, '5 records, 1 to 5: whole\n');
});

test('a pipe in place of the file is told, and nobody waits for its reader', async () => {
  const { folder } = folderWithKey();
  const path = join(folder, 'pipe.jsonl');
  execFileSync('mkfifo', [path]);
  const file = createAuditFile({
    path,
    rotateBytes: 1 << 20,
    keepDays: 90,
    clock: new FakeClock(Date.now()),
  });
  await assert.rejects(file.append(`${'x'.repeat(200_000)}\n`), { code: 'EAGAIN' });
});

test('a file that somebody cut to nothing (copytruncate) is gone on with from there', async () => {
  const { folder } = folderWithKey();
  const { clock, path } = trail(folder);
  const file = createAuditFile({ path, rotateBytes: 300, keepDays: 90, clock });
  await file.append(`${'x'.repeat(250)}\n`);
  truncateSync(path);
  for (const line of ['a', 'b']) await file.append(`${line.repeat(100)}\n`);
  await file.close();
  assert.deepEqual(readdirSync(folder), ['audit.jsonl', 'key']);
  assert.equal(readFileSync(path, 'utf8').length, 202);
});
