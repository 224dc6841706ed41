import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CredentialError } from '../../../src/lib/errors.ts';
import { Secret } from '../../../src/lib/secret.ts';
import { createLogObserver } from '../../../src/telemetry/log-observer.ts';
import { createLogger } from '../../../src/telemetry/logger.ts';
import { FakeClock } from '../../support/fake-clock.ts';

function setUp() {
  const lines: Record<string, unknown>[] = [];
  const clock = new FakeClock();
  const logger = createLogger({ level: 'debug' }, { write: (line) => lines.push(JSON.parse(line)) });
  return { lines, clock, logger, observer: createLogObserver(logger, clock) };
}

test('equal failures are logged once a minute, with the number left out', async () => {
  const { lines, clock, observer } = setUp();
  for (let i = 0; i < 50; i++) observer.refreshFailed('orders', 'source_unavailable', 'no connection', 250);
  assert.equal(lines.length, 1);
  await clock.advance(60_001);
  observer.refreshFailed('orders', 'source_unavailable', 'no connection', 250);
  assert.equal(lines.length, 2);
  assert.equal(lines[1]!['omitted'], 49);
});

test('different sources and codes do not silence each other', () => {
  const { lines, observer } = setUp();
  observer.refreshFailed('orders', 'source_unavailable', 'no connection', 250);
  observer.refreshFailed('orders', 'source_rejected', 'invalid_client', 250);
  observer.refreshFailed('stock', 'source_unavailable', 'no connection', 250);
  assert.equal(lines.length, 3);
});

test('an unexpected error is named by class and code, never by its text', () => {
  const { lines, observer } = setUp();
  observer.unexpected('check', new Error('failed on Bearer canary-token'));
  assert.doesNotMatch(JSON.stringify(lines), /canary/);
  assert.equal(lines[0]!['error'], 'Error');
});

test('a credential that never ends by itself is logged as such', () => {
  const { lines, observer } = setUp();
  observer.credentialPublished('legacy', 1, Number.POSITIVE_INFINITY, undefined, 'legacy');
  assert.equal(lines[0]!['expiresAt'], 'never');
});

test('each line has its operation, and a line about a source the version that it goes on with', async () => {
  const { lines, observer } = setUp();
  const told = () => lines.map(({ operation, generation, keyId }) => [operation, generation, keyId]);
  observer.refreshFailed('maps', 'source_timeout', 'no answer', 250);
  observer.credentialPublished('maps', 7, Number.POSITIVE_INFINITY, 'march', 'maps');
  observer.credentialPublished('orders', 8, Number.POSITIVE_INFINITY, undefined, 'orders');
  observer.refreshFailed('maps', 'source_unavailable', 'no connection', 250);
  observer.keyRefused('maps', 'january');
  observer.refusalSeen('push', 'maps', 'counted', { policy: 'maps', generation: 6, inTrailers: false });
  observer.breakerChanged('idp', 'open');
  observer.credentialExpired('maps', 7);
  observer.refreshForced('maps', 'started');
  assert.deepEqual(told(), [
    ['refresh_failed', undefined, undefined],
    ['credential_published', 7, 'march'],
    ['credential_published', 8, undefined],
    ['refresh_failed', 7, 'march'],
    ['key_refused', undefined, 'january'],
    ['refusal_seen', 6, undefined],
    ['breaker_changed', undefined, undefined],
    ['credential_expired', 7, 'march'],
    ['refresh_forced', undefined, undefined],
  ]);
});

test('a secret and the cause of an error do not reach a line of the log', () => {
  const { lines, logger } = setUp();
  const error = new CredentialError('source_rejected', 'invalid_client', {
    retryable: false,
    cause: { body: 'canary-token' },
  });
  (logger.error as (...args: unknown[]) => void)({ error, secret: new Secret('canary-token') }, 'x');
  assert.doesNotMatch(JSON.stringify(lines), /canary/);
});

test('an API key that ends within a day is an error with what to do, one that ends within a week a warning', () => {
  const { lines, observer } = setUp();
  observer.keyNoticed('maps', 'a', 'expires_within_7_days');
  observer.keyNoticed('maps', 'a', 'expires_within_24_hours');
  assert.deepEqual(
    lines.map(({ level, keyId }) => [level, keyId]),
    [
      ['warn', 'a'],
      ['error', 'a'],
    ],
  );
  assert.match(String(lines[1]!['msg']), /activate its successor now/);
});

test('a clock that differs is a warning above 5 s, an alarm above 30 s, either way', () => {
  for (const [skewMs, level] of [
    [4_900, undefined],
    [5_100, 'warn'],
    [-29_000, 'warn'],
    [-31_000, 'error'],
  ] as const) {
    const { lines, observer } = setUp();
    observer.clockSkewSeen('https://idp.example.com', skewMs);
    assert.equal(lines[0]?.['level'], level, `${skewMs}`);
  }
});

test('a breaker is told of when it opens and when it closes, and not with each probe', () => {
  const { lines, observer } = setUp();
  for (const state of ['closed', 'open', 'half_open', 'open', 'half_open', 'closed'] as const) {
    observer.breakerChanged('https://idp.example.com', state);
  }
  assert.deepEqual(
    lines.map(({ msg }) => msg),
    ['the token endpoint is away: only probes are sent', 'the token endpoint is back'],
  );
});

test('of why Envoy refused a secret the reason is told and not the content, which it prints too', () => {
  const { lines, observer } = setUp();
  const content =
    'name: "orders"\ngeneric_secret {\n  secret {\n    inline_string: "Bearer canary-token"\n  }\n}\n';
  const reason = 'Proto constraint validation failed (SecretValidationError.Name: ["value is too long"])';
  observer.secretRejected('orders', '1.2', `${reason}: ${content}`, true);
  observer.secretRejected('stock', '1.3', `cannot take ${content}`, true);
  assert.deepEqual(
    lines.map(({ detail }) => detail),
    [reason, 'cannot take name: '],
  );
});

test('whatever an Envoy asks for and refuses, however often, is one line a minute: for each name of a policy, and for all others', () => {
  const { lines, observer } = setUp();
  for (let i = 0; i < 20_000; i++) {
    observer.secretSubscribed('orders', true);
    observer.secretRejected('orders', '1.2', 'no', true);
    observer.secretSubscribed(`made-up-${i}`, false);
    observer.secretRejected(`made-up-${i}`, '1.0', 'no', false);
  }
  assert.deepEqual(
    lines.map(({ secretName }) => secretName),
    ['orders', 'orders', 'made-up-0', 'made-up-0'],
  );
});

test('scope that is not granted is logged once a change, and so is that it is granted again', async () => {
  const { lines, clock, observer } = setUp();
  observer.scopeWithheld('orders', []);
  assert.equal(lines.length, 0);
  observer.scopeWithheld('orders', ['orders:write', 'admin']);
  await clock.advance(60_001);
  observer.scopeWithheld('orders', []);
  observer.scopeWithheld('orders', []);
  assert.deepEqual(
    lines.map(({ level, operation, source, scope }) => [level, operation, source, scope]),
    [
      ['warn', 'scope_withheld', 'orders', 'orders:write admin'],
      ['info', 'scope_withheld', 'orders', undefined],
    ],
  );
});
