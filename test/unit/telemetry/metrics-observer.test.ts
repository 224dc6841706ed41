import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMetrics } from '../../../src/telemetry/metrics-observer.ts';
import { FakeClock } from '../../support/fake-clock.ts';

test('checks are counted by policy, decision and reason', async () => {
  const { observer, render } = createMetrics(new FakeClock());
  for (let i = 0; i < 3; i++) observer.checkDecided('orders', 'inject', 'injected');
  observer.checkDecided(undefined, 'pass', 'unmatched');
  const text = await render();
  assert.match(text, /bearerd_checks_total\{policy="orders",decision="inject",reason="injected"\} 3/);
  assert.match(text, /bearerd_checks_total\{policy="",decision="pass",reason="unmatched"\} 1/);
  // A second scrape must not add the counts again.
  assert.match(await render(), /reason="injected"\} 3/);
});

test('one reason with two decisions is counted apart', async () => {
  const { observer, render, decisionsOf } = createMetrics(new FakeClock());
  observer.checkDecided(undefined, 'pass', 'unmarked');
  observer.checkDecided(undefined, 'error', 'unmarked');
  assert.match(
    await render(),
    /decision="pass",reason="unmarked"\} 1\n.*decision="error",reason="unmarked"\} 1\n/,
  );
  assert.equal(decisionsOf('').length, 2);
});

test('answers that were waited for are in the histogram by their time, the others of their kind up to its first bound', async () => {
  const { observer, render } = createMetrics(new FakeClock());
  observer.injectionCount('orders', 'idp').count = 7;
  observer.injectionCount('quiet', 'idp').count = 7;
  observer.checkDecided('orders', 'inject', 'injected', 30);
  observer.checkDecided('orders', 'inject', 'injected', 10);
  observer.checkDecided('orders', 'deny', 'credential_pending', 4_000);
  observer.attemptDecided('orders', 'inject', 'injected', 0.5);
  const text = await render();
  const of = (door: string, reason: string) =>
    [
      ...text.matchAll(
        new RegExp(
          `^bearerd_${door}_duration_seconds_(\\w+)\\{(?:le="([^"]+)",)?policy="(\\w+)",[^}]*"${reason}"\\} (\\S+)$`,
          'gm',
        ),
      ),
    ].map(([, series, le, policy, value]) => `${policy} ${le ?? series} ${value}`);
  assert.deepEqual(of('check', 'injected'), [
    'orders 0.001 7',
    'orders 0.01 8',
    'orders 0.05 9',
    'orders 0.2 9',
    'orders 1 9',
    'orders 3 9',
    'orders +Inf 9',
    'orders sum 0.04',
    'orders count 9',
  ]);
  assert.deepEqual(of('check', 'credential_pending').slice(5), [
    'orders 3 0',
    'orders +Inf 1',
    'orders sum 4',
    'orders count 1',
  ]);
  assert.deepEqual(of('attempt', 'injected')[0], 'orders 0.001 1');
  assert.match(text, /^# TYPE bearerd_check_duration_seconds histogram$/m);
});

test('histograms of decisions are bounded, whatever the number of policies', async () => {
  const { observer, render } = createMetrics(new FakeClock());
  for (let i = 0; i < 1_000; i++) observer.checkDecided(`policy-${i}`, 'inject', 'injected', 30);
  const text = await render();
  assert.equal(text.match(/^bearerd_check_duration_seconds_count/gm)?.length, 200);
  assert.equal(text.match(/^bearerd_checks_total/gm)?.length, 1_000);
});

test('the runway of a credential shrinks with time and is zero once it expired', async () => {
  const clock = new FakeClock();
  const { observer, render } = createMetrics(clock);
  observer.credentialPublished('orders', 4, clock.now() + 60_000, undefined, 'orders');
  await clock.advance(20_000);
  assert.match(await render(), /bearerd_credential_runway_seconds\{source="orders"\} 40/);
  observer.credentialExpired('orders', 4);
  assert.match(await render(), /bearerd_credential_runway_seconds\{source="orders"\} 0/);
});

test('uses are put down to the key that was current, of the ring that it is of, whatever policy and door', async () => {
  const { observer, render } = createMetrics(new FakeClock());
  const never = Number.POSITIVE_INFINITY;
  const uses = async () =>
    [
      ...(await render()).matchAll(/^bearerd_credential_uses_total\{source="(\w+)",key="(\w*)"\} (\d+)$/gm),
    ].map(([, ...sample]) => sample.join(' '));
  observer.keyRingRead('maps', [{ id: 'a', notBefore: 0, expiresAt: never }]);
  const [checks, attempts] = [
    observer.injectionCount('tiles', 'maps'),
    observer.attemptInjectionCount('routes', 'maps'),
  ];
  observer.credentialPublished('maps', 1, never, 'a', 'maps');
  checks.count += 3;
  observer.checkDecided('tiles', 'inject', 'injected', 20);
  attempts.count += 2;
  observer.requestEnded('tiles', 'push', '2xx', 1);
  observer.requestEnded('tiles', 'check', '2xx', 1);
  assert.deepEqual(await uses(), ['maps a 7']);
  assert.deepEqual(await uses(), ['maps a 7'], 'a scrape counts nothing twice');

  checks.count += 1;
  observer.keyRingRead('maps', [{ id: 'b', notBefore: 0, expiresAt: never }]);
  observer.credentialPublished('maps', 2, never, 'b', 'maps');
  checks.count += 10;
  // A fallback's key is the fallback's, and what another signs with has no name here.
  observer.credentialPublished('maps', 3, never, 'kid-of-a-signer', 'spare');
  checks.count += 100;
  assert.deepEqual(await uses(), ['maps a 8', 'maps b 10', 'spare  100']);

  // Another configuration: the policy is of another source from now on.
  observer.injectionCount('tiles', 'other');
  checks.count += 5;
  assert.deepEqual(await uses(), ['maps a 8', 'maps b 10', 'spare  100', 'other  5']);
});

test('a key that never ends by itself has an endless runway', async () => {
  const { observer, render } = createMetrics(new FakeClock());
  observer.credentialPublished('legacy', 1, Number.POSITIVE_INFINITY, undefined, 'legacy');
  assert.match(await render(), /bearerd_credential_runway_seconds\{source="legacy"\} \+Inf/);
});

test('names of secrets that peers ask for never become labels', async () => {
  const { observer, render } = createMetrics(new FakeClock());
  observer.secretSubscribed('made-up-name', false);
  const text = await render();
  assert.doesNotMatch(text, /made-up-name/);
  assert.match(text, /bearerd_secret_subscribers\{known="false"\} 1/);
  observer.secretUnsubscribed('made-up-name', false);
  assert.match(await render(), /bearerd_secret_subscribers\{known="false"\} 0/);
});

test('keys of a ring have a runway and an age that move with time, and a key that left the ring has none', async () => {
  const clock = new FakeClock();
  const { observer, render } = createMetrics(clock);
  const now = clock.now();
  observer.keyRingRead('maps', [
    { id: 'a', notBefore: now - 60_000, expiresAt: now + 60_000 },
    { id: 'b', notBefore: now, expiresAt: Number.POSITIVE_INFINITY },
  ]);
  observer.keyNoticed('maps', 'a', 'expires_within_24_hours');
  await clock.advance(90_000);
  const text = await render();
  assert.match(text, /bearerd_api_key_runway_seconds\{source="maps",key="a"\} -30/);
  assert.match(text, /bearerd_api_key_runway_seconds\{source="maps",key="b"\} \+Inf/);
  assert.match(text, /bearerd_api_key_age_seconds\{source="maps",key="a"\} 150/);
  assert.match(text, /notices_total\{source="maps",key="a",notice="expires_within_24_hours"\} 1/);
  observer.keyRingRead('maps', []);
  assert.doesNotMatch(await render(), /runway_seconds\{source="maps"/);
});
