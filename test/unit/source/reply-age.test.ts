import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clockSkewMs } from '../../../src/provider-http/clock-skew.ts';
import { createReplyAge } from '../../../src/source/reply-age.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const DATE = 'Thu, 01 Jan 2026 00:00:00 GMT';

test('Age counts in whole seconds, and nonsense in it is none', () => {
  const age = createReplyAge(new FakeClock());
  const of = (text: string) => age.of(new Headers({ age: text }), 'token', 0);
  assert.deepEqual(['30', '0', '-5', 'soon', '1.5', '99999999999'].map(of), [30_000, 0, 0, 0, 0, 0]);
});

test('the same token under the same Date is as old as its first answer; either of them new is a new answer', async () => {
  const clock = new FakeClock();
  const age = createReplyAge(clock);
  const of = (token: string, date = DATE, more = {}) =>
    age.of(new Headers({ date, ...more }), token, clock.monotonic());
  assert.equal(of('a'), 0);
  await clock.advance(60_000);
  assert.equal(of('a'), 60_000);
  assert.equal(of('b'), 0);
  await clock.advance(60_000);
  assert.equal(of('b', 'Thu, 01 Jan 2026 00:02:00 GMT'), 0, 'the provider gave the same token again');
  // What a cache says itself counts from the token's own begin.
  assert.equal(of('c', DATE, { age: '20' }), 20_000);
  await clock.advance(10_000);
  assert.equal(of('c', DATE, { age: '20' }), 30_000);
});

test('the clock’s skew is the middle of the call against the middle of the second of Date; a cached answer tells none', () => {
  const at = Date.parse(DATE);
  const skew = (headers: Record<string, string>) => clockSkewMs(new Headers(headers), at + 400, at + 600);
  assert.equal(skew({ date: DATE }), 0);
  assert.equal(skew({ date: 'Thu, 01 Jan 2026 00:05:00 GMT' }), -300_000);
  assert.equal(skew({ date: 'Wed, 31 Dec 2025 23:59:20 GMT' }), 40_000);
  assert.equal(skew({ date: DATE, age: '9' }), undefined);
  assert.equal(skew({ date: 'today' }), undefined);
  assert.equal(skew({}), undefined);
});
