import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Caller, createBreaker } from '../../../../src/source/endpoint/breaker.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

const waiting: Caller = { who: 'orders', waiting: true, leftMs: undefined };
const renewing = (leftMs: number): Caller => ({ who: 'orders', waiting: false, leftMs });

function setup() {
  const clock = new FakeClock();
  const states: string[] = [];
  const breaker = createBreaker({ clock, random: () => 0.5, changed: (state) => states.push(state) });
  const away = (caller: Caller, as: 'call' | 'probe' = 'call', retryAfterMs?: number) =>
    breaker.ended(caller, as, { kind: 'failed', retryAfterMs });
  const answered = (caller: Caller, as: 'call' | 'probe' = 'call') =>
    breaker.ended(caller, as, { kind: 'answered' });
  const opened = () => {
    for (let i = 0; i < 5; i++) away(waiting);
  };
  return { clock, states, breaker, away, answered, opened };
}

describe('a breaker', () => {
  test('opens after five failures in a row, and an answer between them starts the count anew', () => {
    const { breaker, away, answered } = setup();
    for (let i = 0; i < 4; i++) away(waiting);
    answered(waiting);
    for (let i = 0; i < 4; i++) away(waiting);
    assert.equal(breaker.state, 'closed');
    away(waiting);
    assert.equal(breaker.state, 'open');
  });

  test('open, it lets one probe through every 500 ms while somebody waits', async () => {
    const { clock, breaker, away, opened } = setup();
    opened();
    let probes = 0;
    for (let ms = 0; ms < 10_000; ms += 10) {
      if (breaker.admit(waiting).may === 'probe') {
        probes++;
        away(waiting, 'probe');
      }
      await clock.advance(10);
    }
    assert.equal(probes, 19);
  });

  test('who comes during a probe waits for it and is called once it was answered', async () => {
    const { clock, states, breaker, answered, opened } = setup();
    opened();
    await clock.advance(500);
    assert.equal(breaker.admit(waiting).may, 'probe');
    const joined = breaker.admit({ ...waiting, who: 'billing' });
    assert.equal(joined.may, 'join');
    answered(waiting, 'probe');
    await (joined as { over: Promise<void> }).over;
    assert.equal(breaker.admit({ ...waiting, who: 'billing' }).may, 'call');
    assert.deepEqual(states, ['open', 'half_open', 'closed']);
  });

  test('in the background it probes with back-off to 30 s, but sooner the closer the credential’s end', async () => {
    const { clock, breaker, away, opened } = setup();
    opened();
    const gaps: number[] = [];
    let last = clock.monotonic();
    for (let i = 0; i < 12; i++) {
      while (breaker.admit(renewing(3_600_000)).may !== 'probe') await clock.advance(50);
      gaps.push(clock.monotonic() - last);
      last = clock.monotonic();
      away(renewing(3_600_000), 'probe');
    }
    assert.ok(gaps[0]! <= 250, `${gaps[0]} ms`);
    assert.deepEqual(gaps.slice(-2), [15_000, 15_000]);
    await clock.advance(2_000);
    assert.equal(breaker.admit(renewing(3_600_000)).may, 'not');
    assert.equal(breaker.admit(renewing(10_000)).may, 'probe');
  });

  test('a source whose calls always fail does not keep the probes from another', async () => {
    const { clock, breaker, away, answered, opened } = setup();
    opened();
    const other: Caller = { ...waiting, who: 'billing' };
    await clock.advance(100);
    assert.equal(breaker.admit(other).may, 'not');
    await clock.advance(400);
    assert.equal(breaker.admit(waiting).may, 'not', 'it failed last, and another one came since');
    assert.equal(breaker.admit(other).may, 'probe');
    answered(other, 'probe');
    // Where the other one stays away nothing is lost but a moment.
    for (let i = 0; i < 5; i++) away(waiting);
    breaker.admit(other);
    await clock.advance(500);
    assert.deepEqual([breaker.admit(waiting).may, breaker.admit(waiting).may], ['not', 'probe']);
  });

  test('late failures of calls from before it opened end nobody’s probe', async () => {
    const { clock, breaker, away, opened } = setup();
    opened();
    await clock.advance(500);
    assert.equal(breaker.admit(waiting).may, 'probe');
    away(waiting, 'call');
    assert.equal(breaker.state, 'half_open');
  });

  test('a probe that was given up says nothing: the next one may go at once', async () => {
    const { clock, breaker, opened } = setup();
    opened();
    await clock.advance(500);
    breaker.admit(waiting);
    breaker.ended(waiting, 'probe', { kind: 'abandoned' });
    assert.equal(breaker.admit(waiting).may, 'probe');
  });
});

describe('Retry-After', () => {
  const cases: readonly (readonly [string, Caller, toldMs: number, honouredMs: number])[] = [
    ['up to 5 minutes while a credential lives', renewing(3_600_000), 900_000, 300_000],
    ['up to a third of the time left', renewing(60_000), 900_000, 20_000],
    ['as told where that is less', renewing(3_600_000), 60_000, 60_000],
    ['up to 30 s with none left', waiting, 900_000, 30_000],
    ['as told with none left', waiting, 4_000, 4_000],
  ];
  for (const [what, caller, told, honoured] of cases) {
    test(`counts ${what}`, async () => {
      const { clock, breaker, away } = setup();
      away(caller, 'call', told);
      assert.equal(breaker.state, 'open', 'the first one opens the breaker');
      const begun = clock.monotonic();
      const now = () =>
        caller.leftMs === undefined
          ? caller
          : { ...caller, leftMs: caller.leftMs - (clock.monotonic() - begun) };
      let admission = breaker.admit(now());
      while (admission.may === 'not') {
        assert.equal(admission.why, clock.monotonic() - begun < honoured ? 'retry_after' : 'breaker_open');
        await clock.advance(100);
        admission = breaker.admit(now());
      }
      assert.equal(admission.may, 'probe');
      const took = clock.monotonic() - begun;
      assert.ok(took >= honoured && took <= honoured + 500, `${took} ms`);
    });
  }

  test('of zero is no way to be asked without a pause', () => {
    const { breaker, away } = setup();
    away(waiting, 'call', 0);
    assert.equal(breaker.admit(waiting).may, 'not');
  });
});
