// The revocation list on a real disk: written by several at a time, cut, taken up again.
import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { appendRevocation, parseRevocationLines } from '../../../src/inbound/revocation-file.ts';
import { ISSUER, startInbound } from '../../support/inbound-world.ts';

const inbound = `
  issuers:
    idp: { issuer: "${ISSUER}", jwks_file: jwks.json, audience: orders }
  revocation: { file: revoked.jsonl }
  policies: [{ name: api, match: {} }]
`;
const entry = (jti: string) => JSON.stringify({ jti });
const linesOf = (text: string) => text.split('\n').filter((line) => line !== '');

test('a list that was cut at the end of a line takes nothing back, and lets nobody in at a start', async (t) => {
  const world = await startInbound(t, inbound, { 'revoked.jsonl': '' });
  const path = join(world.folder, 'revoked.jsonl');
  for (const jti of ['a', 'b', 'c']) await appendRevocation(path, entry(jti), 0);
  const whole = readFileSync(path, 'utf8');
  const revoked = world.token({ jti: 'c' });
  while ((await world.bearer(revoked)).status !== 401) await sleep(5);
  const refused = () => world.told.named('inputRefused').length;
  for (const count of [3, 2, 1]) {
    const before = refused();
    const cut = `${linesOf(whole).slice(0, count).join('\n')}\n`;
    world.write('revoked.jsonl', cut);
    while (refused() === before) await sleep(5);
    assert.match(
      String(world.told.named('inputRefused').at(-1)![1]),
      /\d revocations stand where .* it was cut/,
    );
    assert.equal((await world.bearer(revoked)).status, 401);
    await assert.rejects(appendRevocation(path, entry('d'), 0), /it was cut/);
    assert.equal(readFileSync(path, 'utf8'), cut, 'not made to look whole');
  }
  const other = await startInbound(
    t,
    inbound,
    { 'revoked.jsonl': `${linesOf(whole).slice(0, 2).join('\n')}\n` },
    { waitForKeys: false },
  );
  while (other.told.named('inputRefused').length === 0) await sleep(5);
  assert.deepEqual(other.door.missing(), ['revocation list']);
  other.write('revoked.jsonl', whole);
  await other.ready();
  const back = (jti: string) => other.bearer(other.token({ jti }));
  assert.deepEqual([(await back('c')).status, (await back('x')).status], [401, 200]);
});

test('several who write at a time, and lines appended by hand, lose nothing; no reader sees a list that it refuses', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-revoked-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'revoked.jsonl');
  const read = () => parseRevocationLines(readFileSync(path, 'utf8'), 0);
  await appendRevocation(path, entry('first'), 0);
  let done = false;
  const writing = Promise.all(
    Array.from({ length: 8 }, async (_, writer) => {
      for (let i = 0; i < 15; i++) {
        await appendRevocation(path, entry(`${writer}-${i}`), 0);
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
  await appendRevocation(path, entry('last'), 0);
  const [first, ...rest] = linesOf(readFileSync(path, 'utf8'));
  assert.equal(JSON.parse(first!).entries, rest.length, 'and the number is right in the end');
});

test('a list without a number, with a short one, or without its last line’s end goes on as it is', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-revoked-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'revoked.jsonl');
  for (const [before, after] of [
    [entry('a'), `${entry('a')}\n${entry('b')}\n`],
    [`{"entries":1}\n${entry('a')}\n`, `{"entries":1}\n${entry('a')}\n${entry('b')}\n`],
    ['\n', `\n{"entries":1         }\n${entry('b')}\n`],
  ]) {
    writeFileSync(path, before!);
    await appendRevocation(path, entry('b'), 0);
    assert.equal(readFileSync(path, 'utf8'), after);
  }
});
