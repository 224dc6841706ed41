import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createAllowance } from '../../../src/credential/allowance.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const MINUTE = 60_000;

/** Takes as many as there are, every second, for so long. */
async function taken(allowance: { take(): boolean }, clock: FakeClock, ms: number): Promise<number> {
  let count = 0;
  for (let at = 0; at < ms; at += 1_000) {
    while (allowance.take()) count++;
    await clock.advance(1_000);
  }
  return count;
}

describe('calls an hour', () => {
  test('are never held below 60, ten of them at once', async () => {
    const clock = new FakeClock();
    const allowance = createAllowance(undefined, clock);
    assert.equal(allowance.perHour, 60);
    assert.equal(await taken(allowance, clock, 1_000), 10);
    const hour = await taken(allowance, clock, 60 * MINUTE);
    assert.ok(hour >= 59 && hour <= 61, `${hour}`);
  });

  test('grow to ten times what the lifetimes asked for in the last hour, and shrink again', async () => {
    const clock = new FakeClock();
    const allowance = createAllowance(undefined, clock);
    // A thousand credentials of one hour, renewed after 36 minutes.
    for (let i = 0; i < 1_667; i++) {
      allowance.came();
      await clock.advance((60 * MINUTE) / 1_667);
    }
    assert.ok(allowance.perHour >= 13_800 && allowance.perHour <= 16_700, `${allowance.perHour}`);
    const { perHour } = allowance;
    const atOnce = await taken(allowance, clock, 1_000);
    assert.ok(atOnce > perHour - 10 && atOnce <= perHour, `${atOnce} of ${perHour}`);
    await clock.advance(61 * MINUTE);
    assert.equal(allowance.perHour, 60);
    assert.equal(await taken(allowance, clock, 1_000), 10);
  });

  test('are not paid for by those that were refused: a storm of them ends', async () => {
    const clock = new FakeClock();
    const allowance = createAllowance(undefined, clock);
    allowance.came();
    assert.ok((await taken(allowance, clock, 10 * MINUTE)) <= 20);
  });

  test('follow a provider that cuts its lifetimes from 24 h to 5 min: no renewal is ever held back', async () => {
    const clock = new FakeClock();
    const allowance = createAllowance(undefined, clock);
    let refused = 0;
    const renewEvery = async (ms: number, credentials: number, forMs: number) => {
      for (let at = 0; at < forMs; at += ms) {
        for (let i = 0; i < credentials; i++) {
          if (allowance.take()) allowance.came();
          else refused++;
          await clock.advance(ms / credentials);
        }
      }
    };
    await renewEvery(14.4 * 60 * MINUTE, 50, 15 * 60 * MINUTE);
    await renewEvery(3 * MINUTE, 50, 3 * 60 * MINUTE);
    assert.equal(refused, 0);
  });

  test('are as configured where they are configured, whatever comes', async () => {
    const clock = new FakeClock();
    const allowance = createAllowance(6, clock);
    for (let i = 0; i < 100; i++) allowance.came();
    assert.equal(await taken(allowance, clock, 1_000), 1);
    assert.equal(await taken(allowance, clock, 60 * MINUTE), 6);
  });
});
