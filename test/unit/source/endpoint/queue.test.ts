import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { QUEUE_BYTES, QUEUE_LENGTH } from '../../../../src/credential/numbers.ts';
import { createTurnQueue, type Lane } from '../../../../src/source/endpoint/queue.ts';
import { FakeClock, settle } from '../../../support/fake-clock.ts';

const never = new AbortController().signal;

function setup() {
  const clock = new FakeClock();
  const queue = createTurnQueue(clock);
  const log: string[] = [];
  const enter = (name: string, lane: Lane, inMs = 1_000, bytes = 0, signal = never) =>
    queue
      .enter({ lane, deadline: clock.monotonic() + inMs, bytes, signal })
      .then((dropped) => void log.push(dropped === undefined ? name : `${name} ${dropped}`));
  const fill = (lane: Lane, count: number) => {
    for (let i = 0; i < count; i++) void enter('', lane, 1e9);
  };
  return { clock, queue, log, enter, fill };
}

describe('turns at an endpoint', () => {
  test('two in the background and 32 that somebody waits for are under way at once', async () => {
    const { queue, fill } = setup();
    fill('background', 10);
    fill('waiting', 100);
    assert.deepEqual([queue.inFlight('background'), queue.inFlight('waiting')], [2, 32]);
    assert.equal(queue.length, 8 + 68);
    queue.leave('background');
    assert.deepEqual([queue.inFlight('background'), queue.length], [2, 75]);
  });

  test('come in order of their deadline, and what is past it is dropped and not sent', async () => {
    const { clock, queue, log, enter, fill } = setup();
    fill('waiting', 32);
    await settle();
    log.length = 0;
    void enter('late', 'waiting', 3_000);
    void enter('soon', 'waiting', 100);
    void enter('next', 'waiting', 500);
    await clock.advance(200);
    queue.leave('waiting');
    await settle();
    assert.deepEqual(log, ['soon past_deadline', 'next']);
  });

  test('over the length the background goes first, then the latest deadline', async () => {
    const { queue, log, enter, fill } = setup();
    fill('background', 2);
    fill('waiting', 32);
    await settle();
    log.length = 0;
    void enter('renewal', 'background', 10);
    void enter('patient', 'waiting', 5_000);
    for (let i = 0; i < QUEUE_LENGTH - 2; i++) void enter('', 'waiting', 1_000);
    assert.equal(queue.length, QUEUE_LENGTH);
    void enter('', 'waiting', 1_000);
    void enter('', 'waiting', 1_000);
    await settle();
    assert.deepEqual(log, ['renewal queue_full', 'patient queue_full']);
    assert.equal(queue.length, QUEUE_LENGTH);
  });

  test('over the bytes of subject tokens likewise', async () => {
    const { queue, log, enter, fill } = setup();
    fill('waiting', 32);
    await settle();
    log.length = 0;
    const count = QUEUE_BYTES / (16 << 10);
    for (let i = 0; i < count; i++) void enter('', 'waiting', 1_000, 16 << 10);
    void enter('one too many', 'waiting', 2_000, 1);
    await settle();
    assert.deepEqual(log, ['one too many queue_full']);
    assert.equal(queue.length, count);
  });

  test('who gives up loses the place, whether queued or not yet', async () => {
    const { queue, log, enter, fill } = setup();
    fill('waiting', 32);
    await settle();
    log.length = 0;
    const controller = new AbortController();
    void enter('gone', 'waiting', 1_000, 0, controller.signal);
    controller.abort();
    void enter('gone before', 'waiting', 1_000, 0, controller.signal);
    await settle();
    assert.deepEqual(log, ['gone abandoned', 'gone before abandoned']);
    assert.equal(queue.length, 0);
  });
});
