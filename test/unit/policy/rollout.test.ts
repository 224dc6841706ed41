import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compileRollout, type Rollout } from '../../../src/policy/rollout.ts';

const share = (policy: string, percent: number, by?: string, pod = 'pod-1'): Rollout =>
  compileRollout(policy, { mode: 'enforce', percent, by }, pod)!;
const keys = Array.from({ length: 10_000 }, (_, i) => `user-${i}`);
const isIn = (rollout: Rollout) => (key: string) => rollout.withheld(key) === undefined;

describe('a policy for a share of the requests', () => {
  test('takes 25 % of 10,000 values within binomial bounds', (t) => {
    const count = keys.filter(isIn(share('orders', 25, 'x-user-id'))).length;
    // Four standard deviations of a binomial distribution: sqrt(10,000 · 0.25 · 0.75) = 43.3.
    t.diagnostic(`${count} of 10,000, wanted 2,500 ± 173`);
    assert.ok(Math.abs(count - 2_500) <= 173, `${count}`);
  });

  test('takes 25 % of 10,000 pods within binomial bounds, each wholly in or out', () => {
    const inPods = keys.filter((pod) => isIn(share('orders', 25, undefined, pod))('anything'));
    assert.ok(Math.abs(inPods.length - 2_500) <= 173, `${inPods.length}`);
  });

  test('decides the same for the same value, in every process', () => {
    const [first, second] = [share('orders', 25, 'x-user-id'), share('orders', 25, 'x-user-id', 'pod-2')];
    for (const key of keys.slice(0, 1_000)) assert.equal(first.withheld(key), second.withheld(key));
  });

  test('keeps who was in when the share grows', () => {
    const [small, large] = [isIn(share('orders', 10, 'x')), isIn(share('orders', 50, 'x'))];
    assert.deepEqual(
      keys.filter(small).filter((key) => !large(key)),
      [],
    );
  });

  test('chooses others for another policy', () => {
    const both = keys.filter(isIn(share('a', 25, 'x'))).filter(isIn(share('b', 25, 'x'))).length;
    assert.ok(Math.abs(both - 625) <= 97, `${both} in both, wanted 625 ± 97`);
  });

  test('leaves a request without the header as it is', () => {
    assert.equal(share('orders', 99, 'x-user-id').withheld(undefined), 'not_in_percent');
  });

  test('of nothing and of everything is exact', () => {
    assert.equal(keys.some(isIn(share('orders', 0, 'x'))), false);
    assert.equal(compileRollout('orders', { mode: 'enforce', percent: 100, by: 'x' }, 'pod'), undefined);
  });
});

test('a shadowed policy is in force for nobody', () => {
  const rollout = compileRollout('orders', { mode: 'shadow', percent: undefined, by: undefined }, 'pod')!;
  assert.equal(rollout.withheld(undefined), 'shadow');
});
