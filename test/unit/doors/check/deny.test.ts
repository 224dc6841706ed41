// Marks and denials: a denial needs none, and a route that was made for denials alone leaves the rest to another door.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeCheckRequest } from '../../../../bench/world.ts';
import type { Config } from '../../../../src/config/config.ts';
import { checkAnswers } from '../../../../src/doors/check/answer.ts';
import { createCheck } from '../../../../src/doors/check/check.ts';
import { createCarriedRing } from '../../../../src/doors/feedback/carried-ring.ts';
import { compilePolicies } from '../../../../src/policy/compile.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { FakeStore } from '../../../support/fake-store.ts';
import { configOf, type PolicySketch } from '../../../support/generate-config.ts';
import { createRecordingObserver } from '../../../support/recording-observer.ts';

const PASSED = Buffer.from(checkAnswers.passUntouched);
const DENIED = Buffer.from(checkAnswers.denial('denied', 0, 404));
const UNMARKED = Buffer.from(checkAnswers.denial('unmarked', 0));

function asking(mode: 'enforce' | 'shadow' | 'off', unmatched: Config['unmatched'] = 'pass') {
  const policies: PolicySketch[] = [
    {
      ...{ name: 'no-admin', hosts: ['h'], paths: [{ kind: 'prefix', value: '/admin' }], deny: 404 },
      mode: { mode, percent: undefined, by: undefined },
    },
    { name: 'orders', hosts: ['h'] },
  ];
  const store = new FakeStore();
  store.publish('orders', 'of-orders');
  const { observer, named } = createRecordingObserver();
  const check = createCheck({
    ...{ store, observer, clock: new FakeClock(), maxWaitMs: 100, carried: createCarriedRing() },
    policies: compilePolicies(configOf(policies, { unmatched, ambiguousPath: 'deny' })),
  });
  const call = { timeoutMs: undefined, signal: new AbortController().signal };
  return {
    ask: (mark: string, path: string, host = 'h') =>
      Buffer.from(check(encodeCheckRequest(mark, host, path, 1), call) as Uint8Array),
    named,
  };
}

test('what is denied is denied whatever the route is marked with', () => {
  const { ask, named } = asking('enforce');
  for (const mark of ['no-admin', 'orders', 'no-admin,orders', 'another', ''])
    assert.deepEqual(ask(mark, '/admin/x?secret=1'), DENIED, mark);
  assert.deepEqual(named('checkDecided')[0], ['no-admin', 'deny', 'denied']);
  const request = { method: 'GET', host: 'h', path: '/admin/x', status: 404 };
  assert.deepEqual(named('outboundDenied')[0], ['no-admin', 'enforce', request]);
});

for (const mode of ['shadow', 'off'] as const) {
  for (const unmatched of ['pass', 'deny'] as const) {
    test(`${mode}, unmatched: ${unmatched}: a route of denials leaves the request to the door of what is behind them, and a forged Host gets nothing`, () => {
      const { ask, named } = asking(mode, unmatched);
      assert.deepEqual(ask('no-admin', '/admin'), PASSED);
      assert.ok(ask('no-admin,orders', '/admin').includes('of-orders'));
      assert.equal(named('outboundDenied').length, mode === 'shadow' ? 2 : 0);
      // The route of another host, which the app names h.
      assert.deepEqual(ask('another', '/admin'), unmatched === 'deny' ? UNMARKED : PASSED);
    });
  }
}
