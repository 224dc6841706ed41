import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createStatusRecorder } from '../../../../src/telemetry/status/status-recorder.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

test('a refusal is told with what was done for it, and with the credential that came', async () => {
  const clock = new FakeClock();
  const { observer, feedback } = createStatusRecorder(clock);
  const at = clock.now();
  observer.refusalSeen('push', 'orders', 'counted', {
    policy: 'orders-v1',
    generation: 3,
    inTrailers: false,
  });
  observer.refreshForced('orders', 'started');
  observer.refusalSeen('push', 'orders', 'in_doubt');
  observer.refusalSeen('push', 'billing', 'counted', { policy: 'bills', generation: 5, inTrailers: false });
  observer.refreshForced('billing', 'limited');
  await clock.advance(45);
  observer.credentialPublished('orders', 4, at + 60_000, undefined, 'orders');
  const [billing, doubt, orders] = feedback();
  assert.deepEqual(orders, {
    ...{ at, door: 'push', policy: 'orders-v1', source: 'orders', generation: 3, verdict: 'counted' },
    refresh: 'started',
    renewed: { at: at + 45, generation: 4 },
  });
  assert.equal(doubt!.renewed, undefined, 'nothing was done for it');
  assert.deepEqual([billing!.refresh, billing!.renewed], ['limited', undefined]);
});

test('nothing grows without bound, however many refusals and names there are', async () => {
  const { observer, feedback, inputs, certificates } = createStatusRecorder(new FakeClock());
  for (let i = 0; i < 12_000; i++) {
    observer.refusalSeen('check', `s${i}`, 'not_ours');
    observer.inputLoaded(`input ${i}`, 1);
    observer.certificateLoaded(`listener ${i}`, 1);
  }
  assert.deepEqual([feedback().length, inputs().length, certificates().length], [50, 10_000, 10_000]);
  assert.equal(feedback()[0]!.source, 's11999', 'the latest first');
});

test('scope that was not granted is known until it is', () => {
  const { observer, ofSource } = createStatusRecorder(new FakeClock());
  observer.scopeWithheld('orders', ['admin']);
  assert.deepEqual(ofSource('orders').withheldScope, ['admin']);
  observer.scopeWithheld('orders', []);
  assert.equal('withheldScope' in ofSource('orders'), false);
});

test('a configuration of thousands of sources is remembered as a whole, however often it is looked at', () => {
  const { observer, ofSource } = createStatusRecorder(new FakeClock());
  const names = Array.from({ length: 5_000 }, (_, i) => `source ${i}`);
  for (const name of names) observer.refreshEnded(name, 'ok', 1, false);
  for (let look = 0; look < 2; look++)
    assert.ok(names.every((name) => ofSource(name).lastHour[0]?.['ok'] === 1));
  for (let i = 0; i < 20_000; i++) ofSource(`unheard of ${i}`);
  assert.equal(ofSource('source 0').lastHour[0]?.['ok'], 1, 'to ask is not to know');
});
