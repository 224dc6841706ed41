import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRevocationLines } from '../../../src/inbound/revocation-file.ts';
import { Revocations } from '../../../src/inbound/revocations.ts';
import { createSharedRevocations } from '../../../src/inbound/shared-revocations.ts';
import { createVerifiedToken } from '../../../src/inbound/verified-token.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { createRecordingObserver } from '../../support/recording-observer.ts';

const HOUR_MS = 3_600_000;

test('what one list says of a token is not taken for the word of the next list', () => {
  const origin = { kind: 'api_key', issuer: -1, rolesClaim: ['roles'], leewayMs: 0, key: undefined } as const;
  // As of an API key, which outlives a configuration.
  const token = createVerifiedToken({ sub: 'globex' }, origin)!;
  const [before, next] = [new Revocations(['idp']), new Revocations(['idp', 'other'])];
  before.replace([]);
  assert.equal(before.covers(token, 0), false);
  next.replace([{ sub: 'globex' }]);
  assert.equal(next.covers(token, 0), true);
});

/** As of an API key, which has no end of its own. */
const tokenOf = (sub: string) =>
  createVerifiedToken(
    { sub },
    { kind: 'api_key', issuer: -1, rolesClaim: ['roles'], leewayMs: 0, key: undefined },
  )!;

test('a revocation that ends with its token holds through the leeway that the token still counts for', () => {
  const list = new Revocations([]);
  list.replace(parseRevocationLines('{"sub":"globex","expires_at":1000}'));
  assert.equal(list.covers(tokenOf('globex'), 1_059_000), true);
  assert.equal(list.covers(tokenOf('globex'), 1_061_000), false);
});

test('a revocation with an end is found again by a clock that was ahead and comes back', () => {
  const list = new Revocations([]);
  list.replace(parseRevocationLines('{"sub":"globex","expires_at":1000}'));
  const token = tokenOf('globex');
  assert.equal(list.covers(token, 500_000), true);
  for (let i = 0; i < 2; i++) assert.equal(list.covers(token, 400_000_000), false, 'it is over');
  assert.equal(list.covers(token, 500_000), true, 'it is not');
});

test('what Redis lost is known, also by a clock that comes back, up to 32 MiB; then what ended goes first', async (t) => {
  const clock = new FakeClock();
  const { observer, named } = createRecordingObserver();
  const list = new Revocations([]);
  let lines: string[] = [];
  let version = 0;
  const source = createSharedRevocations({
    read: async () => ({ version: `${++version}`, lines: lines.join('\n') }),
    ...{ list, clock, observer },
  });
  t.after(() => source.stop());
  const ends = (sub: string, inMs: number) =>
    JSON.stringify({ sub, expires_at: (clock.now() + inMs) / 1_000, reason: 'x'.repeat(8 << 20) });
  const isRevoked = (sub: string) => list.covers(tokenOf(sub), clock.now());
  lines = [ends('ended', HOUR_MS), ends('lasting', 99 * HOUR_MS)];
  source.start();
  await clock.advance(0);
  lines = [ends('current', 1_000)];
  const now = clock.now();
  clock.setWall(now + 50 * HOUR_MS);
  await clock.advance(400);
  assert.deepEqual(['ended', 'lasting', 'current'].map(isRevoked), [false, true, false]);
  clock.setWall(now);
  assert.deepEqual(['ended', 'lasting', 'current'].map(isRevoked), [true, true, true]);
  // One more does not fit: while the clock is ahead, what has ended and is lost makes room.
  clock.setWall(now + 50 * HOUR_MS);
  lines = [ends('next', HOUR_MS)];
  await clock.advance(400);
  clock.setWall(now);
  assert.deepEqual(['ended', 'lasting', 'next'].map(isRevoked), [false, true, true]);
  // And where nothing has ended nothing is forgotten, and it is told.
  lines = [ends('too many', HOUR_MS), ends('far too many', HOUR_MS)];
  await clock.advance(400);
  assert.match(String(named('inputRefused').at(-1)![1]), /larger than \d+ bytes with what it lost/);
  assert.deepEqual(['lasting', 'next', 'too many'].map(isRevoked), [true, true, false]);
});
