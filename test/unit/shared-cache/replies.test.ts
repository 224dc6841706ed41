// What comes from Redis may have any shape: somebody else's server, a proxy, a planted value.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createInvalidations } from '../../../src/shared-cache/invalidations.ts';
import { createLooks } from '../../../src/shared-cache/look.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { createRecordingObserver } from '../../support/recording-observer.ts';

/** Answers each script with the next of `replies`, then with nothing. */
const redisOf = (...replies: unknown[]) => ({
  asked: 0,
  async run() {
    this.asked++;
    return replies.shift();
  },
  close() {},
});

test('invalidations of any shape are heard or not, and the next one is', async () => {
  const clock = new FakeClock();
  for (const shape of [
    [],
    [null],
    ['1-0'],
    ['1-0', 'x'],
    ['1-0', [null, 5, [], ['e'], [null, null]]],
    'x',
    5,
    {},
  ]) {
    const redis = redisOf(shape, ['2-0', [['entry', '7']]]);
    const invalidations = createInvalidations(() => redis, 's', 'c', clock);
    const heard: unknown[] = [];
    invalidations.listen((...message) => heard.push(message));
    invalidations.woken();
    await clock.advance(60_000);
    assert.deepEqual(heard.at(-1), ['entry', 7], JSON.stringify(shape));
    invalidations.close();
  }
});

test('a flood of wakes is not a flood of reads', async () => {
  const clock = new FakeClock();
  const redis = redisOf(...Array<unknown>(1_000).fill(['1-0', []]));
  const invalidations = createInvalidations(() => redis, 's', 'c', clock);
  for (let i = 0; i < 500; i++) {
    invalidations.woken();
    invalidations.woken();
    await clock.advance(2);
  }
  assert.ok(redis.asked > 10 && redis.asked <= 25, `${redis.asked} reads in a second`);
  invalidations.close();
});

test('a fence and an age that are no numbers grant nothing and tell nothing', async () => {
  const source = {
    name: 'orders',
    type: 'static',
    endpoint: 'e',
    syntax: 'b64token',
    perSubject: false,
  } as const;
  const { observer } = createRecordingObserver();
  const looks = createLooks(
    { ...source, issue: () => Promise.reject() },
    {
      ...{ clock: new FakeClock(), observer, holder: 'h', keys: { all: async () => [] } },
      redis: redisOf([false, -2, 'x', 'x'], [], [false, -2, '7', -1]),
    },
  );
  const names = { entry: 'e', lease: 'l', fences: 'f', credential: 'c', source: 's' };
  const look = async () => (await looks.look(names, 'absent', 10))!;
  for (let i = 0; i < 2; i++) {
    const { fence, heldForMs } = await look();
    assert.deepEqual([fence, heldForMs], [undefined, undefined]);
  }
  assert.equal((await look()).fence, 7);
});
