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

test('the runway of a credential shrinks with time and is zero once it expired', async () => {
  const clock = new FakeClock();
  const { observer, render } = createMetrics(clock);
  observer.credentialPublished('orders', 4, clock.now() + 60_000);
  await clock.advance(20_000);
  assert.match(await render(), /bearerd_credential_runway_seconds\{source="orders"\} 40/);
  observer.credentialExpired('orders', 4);
  assert.match(await render(), /bearerd_credential_runway_seconds\{source="orders"\} 0/);
});

test('a key that never ends by itself has an endless runway', async () => {
  const { observer, render } = createMetrics(new FakeClock());
  observer.credentialPublished('legacy', 1, Number.POSITIVE_INFINITY);
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
