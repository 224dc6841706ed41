import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRolloutGuard } from '../../../../src/app/guard/rollout-guard.ts';
import { parseConfig } from '../../../../src/config/parse.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { createRecordingObserver } from '../../../support/recording-observer.ts';

test('refusals count also after the wall clock was set back: Envoy’s stamps go with it', async () => {
  const config = parseConfig(
    `{ version: 1, listen: { check: "unix:///run/check.sock" }, sources: { one: { file: { path: /run/one } } },
       outbound: [{ name: orders, match: { hosts: [orders.example.com] }, inject: { source: one }, guard: { requests: 20 } }] }`,
    '/etc/bearerd.yaml',
  );
  const clock = new FakeClock();
  const recorded = createRecordingObserver();
  const counts = { enforced: 0, injected: 0, missing: 0, withheld: 0 };
  const guard = createRolloutGuard({
    ...{ clock, config, observer: recorded.observer, remembered: new Map() },
    requestsOf: () => counts,
    isPodWithheld: () => false,
    isPushed: () => false,
    canInject: () => true,
    rearrange: async (make) => guard.use(config, make(), new Map()),
  });
  guard.use(config, guard.next(config), new Map());
  guard.start();
  guard.refused('orders', 'enforced', '/before', clock.now() - 1);
  clock.setWall(clock.now() - 3_600_000);
  for (let second = 0; second < 10; second++) {
    await clock.advance(1_000);
    for (let i = 0; i < 20; i++) {
      counts.enforced++;
      guard.refused('orders', 'enforced', `/${i}`, clock.now());
    }
  }
  await guard.stop();
  assert.deepEqual(recorded.named('guardChanged')[0]?.slice(0, 2), ['orders', 'nothing_to_step_back_to']);
});
