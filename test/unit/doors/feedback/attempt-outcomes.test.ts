import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AttemptKey, createAttemptOutcomes } from '../../../../src/doors/feedback/attempt-outcomes.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

const key = (patch: Partial<AttemptKey> = {}): AttemptKey => ({
  requestId: 'id-1',
  host: 'orders.example.com',
  method: 'GET',
  path: '/v1/orders',
  ...patch,
});
const WAIT_MS = 50;

test('what was told before is answered at once, and once', async () => {
  const clock = new FakeClock();
  const outcomes = createAttemptOutcomes(clock);
  outcomes.tell(key(), 'refused');
  assert.equal(outcomes.ask(key(), WAIT_MS), 'refused');
  const again = outcomes.ask(key(), WAIT_MS);
  await clock.advance(WAIT_MS);
  assert.equal(await again, undefined);
});

test('what is told within the wait answers those who wait, one each, in their order', async () => {
  const clock = new FakeClock();
  const outcomes = createAttemptOutcomes(clock);
  const first = outcomes.ask(key(), WAIT_MS);
  const second = outcomes.ask(key(), WAIT_MS);
  await clock.advance(WAIT_MS - 1);
  outcomes.tell(key(), 'failed');
  outcomes.tell(key(), 'refused');
  assert.deepEqual(await Promise.all([first, second]), ['failed', 'refused']);
});

test('another request, path, host or method is another attempt', async () => {
  const outcomes = createAttemptOutcomes(new FakeClock());
  outcomes.tell(key(), 'refused');
  for (const patch of [{ requestId: 'x' }, { host: 'x' }, { method: 'POST' }, { path: '/x' }]) {
    assert.ok(outcomes.ask(key(patch), WAIT_MS) instanceof Promise, JSON.stringify(patch));
  }
  assert.equal(outcomes.ask(key(), WAIT_MS), 'refused');
});

test('different outcomes under one key are a doubt, and a doubt renews nothing', async () => {
  const outcomes = createAttemptOutcomes(new FakeClock());
  outcomes.tell(key(), 'refused');
  outcomes.tell(key(), 'failed');
  assert.equal(outcomes.ask(key(), WAIT_MS), 'failed');
});

test('what nobody asked for is forgotten after 5 s, and there is never more than 4,096 of it', async () => {
  const clock = new FakeClock();
  const outcomes = createAttemptOutcomes(clock);
  outcomes.tell(key(), 'refused');
  await clock.advance(5_001);
  assert.ok(outcomes.ask(key(), WAIT_MS) instanceof Promise);
  outcomes.tell(key({ path: '/first' }), 'refused');
  for (let i = 0; i < 4_096; i++) outcomes.tell(key({ path: `/${i}` }), 'refused');
  assert.ok(outcomes.ask(key({ path: '/first' }), WAIT_MS) instanceof Promise);
  assert.equal(outcomes.ask(key({ path: '/4095' }), WAIT_MS), 'refused');
});
