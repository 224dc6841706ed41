// The revocation list on a real disk: written by several at a time, cut, taken up again.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { appendRevocation, parseRevocationLines } from '../../../src/inbound/revocation-file.ts';
import { ISSUER, startInbound } from '../../support/inbound-world.ts';
import { startProcess } from '../../support/process.ts';
import { until } from '../../support/until.ts';

const inbound = `
  issuers:
    idp: { issuer: "${ISSUER}", jwks_file: jwks.json, audience: orders }
  revocation: { file: revoked.jsonl }
  policies: [{ name: api, match: {} }]
`;
const entry = (jti: string) => JSON.stringify({ jti });
const linesOf = (text: string) => text.split('\n').filter((line) => line !== '');

test('a list that was cut at the end of a line takes nothing back, and lets nobody in at a start', async (t) => {
  const world = await startInbound(t, inbound, { 'revoked.jsonl': '\n' });
  const path = join(world.folder, 'revoked.jsonl');
  for (const jti of ['a', 'b', 'c']) await appendRevocation(path, entry(jti));
  // Without the blank line that began it.
  const whole = readFileSync(path, 'utf8').trimStart();
  world.write('revoked.jsonl', whole);
  const revoked = world.token({ jti: 'c' });
  while ((await world.bearer(revoked)).status !== 401) await sleep(5);
  const refused = () => world.told.named('inputRefused').length;
  for (const count of [3, 2, 1]) {
    const before = refused();
    const cut = `${linesOf(whole).slice(0, count).join('\n')}\n`;
    world.write('revoked.jsonl', cut);
    const isCut = () =>
      /\d revocations stand where .* it was cut/.test(String(world.told.named('inputRefused').at(-1)?.[1]));
    await until('it was cut', () => refused() > before && isCut());
    assert.equal((await world.bearer(revoked)).status, 401);
    await assert.rejects(appendRevocation(path, entry('d')), /it was cut/);
    assert.equal(readFileSync(path, 'utf8'), cut, 'not made to look whole');
  }
  const other = await startInbound(
    t,
    inbound,
    { 'revoked.jsonl': `${linesOf(whole).slice(0, 2).join('\n')}\n` },
    { waitForKeys: false },
  );
  await until('refused', () => other.told.named('inputRefused').length > 0);
  await until('the keys', () => !other.door.missing().includes('keys of idp'));
  assert.deepEqual(other.door.missing(), ['revocation list']);
  other.write('revoked.jsonl', whole);
  await other.ready();
  const back = (jti: string) => other.bearer(other.token({ jti }));
  assert.deepEqual([(await back('c')).status, (await back('x')).status], [401, 200]);
});

test('several who write at a time, and lines appended by hand, lose nothing; no reader sees a list that it refuses', async (t) => {
  const path = fileIn(t);
  writeFileSync(path, '\n');
  const read = () => parseRevocationLines(readFileSync(path, 'utf8'));
  await appendRevocation(path, entry('first'));
  let done = false;
  const writing = Promise.all(
    Array.from({ length: 8 }, async (_, writer) => {
      for (let i = 0; i < 15; i++) {
        await appendRevocation(path, entry(`${writer}-${i}`));
        if (writer === 0) appendFileSync(path, `${entry(`hand-${i}`)}\n`);
      }
    }),
  ).finally(() => {
    done = true;
  });
  let seen = 0;
  while (!done) {
    const { length } = read();
    assert.ok(length >= seen);
    seen = length;
    await sleep(0);
  }
  await writing;
  assert.equal(read().length, 1 + 8 * 15 + 15);
  await appendRevocation(path, entry('last'));
  const [first, ...rest] = linesOf(readFileSync(path, 'utf8'));
  assert.equal(JSON.parse(first!).entries, rest.length, 'and the number is right in the end');
});

test('a list without a number, with a short one, or without its last line’s end goes on as it is', async (t) => {
  const path = fileIn(t);
  for (const [before, after] of [
    [entry('a'), `${entry('a')}\n${entry('b')}\n`],
    [`{"entries":1}\n${entry('a')}\n`, `{"entries":1}\n${entry('a')}\n${entry('b')}\n`],
    ['\n', `\n{"entries":1         }\n${entry('b')}\n`],
  ]) {
    writeFileSync(path, before!);
    await appendRevocation(path, entry('b'));
    assert.equal(readFileSync(path, 'utf8'), after);
  }
});

test('what Windows makes of a list, and a number with blanks around it, are read and written on', async (t) => {
  const path = fileIn(t);
  for (const before of [
    `{"entries":1         }\r\n${entry('a')}\r\n`,
    `\ufeff{"entries":1}\r\n${entry('a')}\r\n`,
    `{ "entries": 1 }\n${entry('a')}\n`,
  ]) {
    writeFileSync(path, before);
    await appendRevocation(path, entry('b'));
    assert.deepEqual(parseRevocationLines(readFileSync(path, 'utf8')), [{ jti: 'a' }, { jti: 'b' }]);
    const cut = before.split('\n')[0]!;
    assert.throws(() => parseRevocationLines(`${cut}\n`), /0 revocations stand where .* it was cut/);
  }
  writeFileSync(path, `{"entries":1         }\r\n${entry('a')}\r\n`);
  await appendRevocation(path, entry('b'));
  assert.match(readFileSync(path, 'utf8'), /^\{"entries":2 {9}\}\r\n/, 'and its number is kept current');
});

test('nothing is written to a list that is empty, away or no file: what was revoked before would be forgotten', async (t) => {
  const path = fileIn(t);
  const refused = (message: RegExp) => assert.rejects(appendRevocation(path, entry('a')), { message });
  await refused(/there is no list: restore it, or begin one with a blank line \(echo > FILE\)/);
  writeFileSync(path, '');
  await refused(
    /it is empty, as one that was cut: restore it, or begin one with a blank line \(echo > FILE\)/,
  );
  assert.equal(readFileSync(path, 'utf8'), '');
  rmSync(path);
  execFileSync('mkfifo', [path]);
  await refused(/it is no file/);
});

test('an empty list lets nobody in at a start: it may have been cut', async (t) => {
  const world = await startInbound(t, inbound, { 'revoked.jsonl': '' }, { waitForKeys: false });
  await until('refused', () => world.told.named('inputRefused').length > 0);
  assert.match(String(world.told.named('inputRefused')[0]![1]), /it is empty, as one that was cut/);
  await until('the keys', () => !world.door.missing().includes('keys of idp'));
  assert.deepEqual(world.door.missing(), ['revocation list']);
  world.write('revoked.jsonl', '\n');
  await world.ready();
});

test('a list that a folder or a pipe took the place of counts on, and is followed again when it is back', async (t) => {
  const world = await startInbound(t, inbound, { 'revoked.jsonl': `${entry('a')}\n` });
  const path = join(world.folder, 'revoked.jsonl');
  while ((await world.bearer(world.token({ jti: 'a' }))).status !== 401) await sleep(5);
  for (const [what, jti] of [
    ['mkdir', 'b'],
    ['mkfifo', 'c'],
  ] as const) {
    const refused = () => world.told.named('inputRefused').length;
    const before = refused();
    rmSync(path);
    execFileSync(what, [path]);
    const end = performance.now() + 30_000;
    while (refused() === before) {
      assert.ok(performance.now() < end, `${what} was not told within 30 s`);
      await sleep(5);
    }
    assert.equal((await world.bearer(world.token({ jti: 'a' }))).status, 401);
    rmSync(path, { recursive: true });
    world.write('revoked.jsonl', `${entry('a')}\n${entry(jti)}\n`);
    while ((await world.bearer(world.token({ jti }))).status !== 401) await sleep(5);
  }
});

test('a disk that takes half a line is told as a failure, and the half is taken back', async (t) => {
  const path = fileIn(t);
  const before = `${entry('x'.repeat(1_000))}\n`;
  writeFileSync(path, before);
  writeFileSync(`${path}.yaml`, inboundFile(path));
  // A file may have 1,024 bytes here, so that the line fits in by its beginning only.
  const child = await startProcess('bash', [
    '-c',
    `ulimit -f 1; exec ${process.execPath} bin/bearerd.js revoke --config ${path}.yaml --jti ${'y'.repeat(100)}`,
  ]);
  assert.equal((await child.exited).code, 1, child.output());
  assert.match(child.output(), /not written: the disk took only a part/);
  assert.equal(readFileSync(path, 'utf8'), before);
});

function fileIn(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-revoked-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'revoked.jsonl');
}

const inboundFile = (list: string) => `version: 1
listen: { check_inbound: "unix://${list}.sock" }
inbound:${inbound.replace('revoked.jsonl', list)}`;
