import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createGuard, type Totals } from '../../../../src/policy/guard/guard.ts';

const NONE: Totals = { enforced: 0, missing: 0, refused: 0, withheld: 0, withheldRefused: 0 };
const CONFIG = { percent: 5, requests: 100, goodAfterMs: 60_000 };

/** A guard, and totals that grow by `second` each second. */
function run(
  seconds: readonly Partial<Totals>[],
  { config = CONFIG, pathOf = (i: number): string => `/${'abcdefghij'[i % 10]}` } = {},
) {
  const guard = createGuard(config, NONE, 0);
  let totals = NONE;
  return seconds.map((second, i) => {
    totals = Object.fromEntries(
      Object.entries(totals).map(([key, value]) => [key, value + (second[key as keyof Totals] ?? 0)]),
    ) as unknown as Totals;
    for (let n = 0; n < (second.refused ?? 0); n++) guard.refusedOn(pathOf(n));
    return { alarm: guard.look(totals, (i + 1) * 1_000), good: guard.isGood((i + 1) * 1_000) };
  });
}

const times = (count: number, second: Partial<Totals>) => new Array<Partial<Totals>>(count).fill(second);
const alarmedAt = (looks: ReturnType<typeof run>) => looks.findIndex(({ alarm }) => alarm !== undefined) + 1;

describe('the guard of a rollout', () => {
  it('is alarmed within six seconds where every request is refused or finds no credential', () => {
    for (const fault of [{ refused: 50 }, { missing: 50 }, { refused: 20, missing: 30 }]) {
      assert.equal(alarmedAt(run(times(10, { enforced: 50, ...fault }))), 5);
    }
  });

  it('says by what it judged', () => {
    const [last] = run(times(6, { enforced: 50, refused: 10, withheld: 50, withheldRefused: 1 })).slice(-1);
    assert.deepEqual(last!.alarm, { enforced: 18, withheld: 2, requests: 150 });
  });

  it('is not alarmed where as much is refused of the share not yet enforced: the upstream is to blame', () => {
    const looks = run(times(60, { enforced: 50, refused: 50, withheld: 20, withheldRefused: 20 }));
    assert.equal(alarmedAt(looks), 0);
  });

  it('is not alarmed by fewer requests than it is to judge by, however many of them fail', () => {
    assert.equal(alarmedAt(run([{ enforced: 99, refused: 99 }, ...times(400, {})])), 0);
  });

  it('takes the time that a quiet policy needs for its requests', () => {
    assert.equal(alarmedAt(run(times(200, { enforced: 1, refused: 1 }))), 102);
  });

  it('is not alarmed by one credential that was revoked and renewed', () => {
    const second = { enforced: 50 };
    const looks = run([
      ...times(5, second),
      { ...second, refused: 40 },
      { ...second, refused: 10 },
      ...times(30, second),
    ]);
    assert.equal(alarmedAt(looks), 0);
  });

  it('is not alarmed by one path that always answers 401, unless most of all requests fail', () => {
    const onePath = { pathOf: () => '/admin/4711' };
    assert.equal(alarmedAt(run(times(60, { enforced: 50, refused: 20 }), onePath)), 0);
    assert.equal(alarmedAt(run(times(60, { enforced: 50, refused: 26 }), onePath)), 5);
    const manyIds = { pathOf: (i: number) => `/users/${i}` };
    assert.equal(alarmedAt(run(times(60, { enforced: 50, refused: 20 }), manyIds)), 0);
  });

  it('calls a version good after its time and never before it could be judged', () => {
    const looks = run(times(70, { enforced: 50 }));
    assert.equal(looks.findIndex(({ good }) => good) + 1, 60);
    const quick = run(times(70, { enforced: 50 }), { config: { ...CONFIG, goodAfterMs: 1_000 } });
    assert.equal(quick.findIndex(({ good }) => good) + 1, 3);
    const quiet = run(times(300, {}), { config: { ...CONFIG, goodAfterMs: 1_000 } });
    assert.ok(
      quiet.every(({ good }) => !good),
      'nobody asked',
    );
    const failing = run([...times(40, { enforced: 50, refused: 50 }), ...times(80, { enforced: 50 })]);
    assert.ok(failing.findIndex(({ good }) => good) + 1 >= 100, 'its time begins anew with an alarm');
  });

  const second = fc.record({
    enforced: fc.nat(200),
    missing: fc.nat(5),
    withheld: fc.nat(200),
  });

  it('is never alarmed at a rate within the bound, and always at once beyond it', () => {
    fc.assert(
      fc.property(fc.array(second, { minLength: 12, maxLength: 60 }), (seconds) => {
        const healthy = seconds.map((one) => ({
          ...one,
          missing: 0,
          refused: Math.floor(one.enforced / 25),
        }));
        assert.equal(alarmedAt(run(healthy)), 0);
        const broken = seconds.map(({ withheld, enforced }) => ({
          ...{ withheld, enforced: enforced + 100 },
          refused: enforced + 100,
        }));
        assert.equal(alarmedAt(run(broken)), 5);
      }),
    );
  });
});
