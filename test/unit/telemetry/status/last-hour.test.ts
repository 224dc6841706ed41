import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLastHour } from '../../../../src/telemetry/status/last-hour.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

test('counts are of their minute, minutes without any are left out, and after an hour they are gone', async () => {
  const clock = new FakeClock();
  const hour = createLastHour(clock);
  hour.count('calls');
  hour.count('calls');
  await clock.advance(3 * 60_000);
  hour.count('notSent');
  assert.deepEqual(hour.report(), [
    { minutesAgo: 3, calls: 2 },
    { minutesAgo: 0, notSent: 1 },
  ]);
  await clock.advance(57 * 60_000);
  assert.deepEqual(hour.report(), [{ minutesAgo: 57, notSent: 1 }]);
  await clock.advance(24 * 3_600_000);
  assert.deepEqual(hour.report(), []);
});

test('a level that is held is told of each minute that it lasts, the highest of each', async () => {
  const clock = new FakeClock();
  const hour = createLastHour(clock);
  hour.hold('breaker', 2);
  await clock.advance(2 * 60_000);
  hour.hold('breaker', 1);
  hour.hold('breaker', 2);
  hour.hold('breaker', 0);
  await clock.advance(60_000);
  assert.deepEqual(hour.report(), [
    { minutesAgo: 3, breaker: 2 },
    { minutesAgo: 2, breaker: 2 },
    { minutesAgo: 1, breaker: 2 },
  ]);
  hour.hold('breaker', 2);
  await clock.advance(10 * 3_600_000);
  assert.equal(hour.report().length, 60, 'held through hours without an event');
});
