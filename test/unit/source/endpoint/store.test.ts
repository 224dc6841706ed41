// The store and an endpoint together: many credentials of one provider that is away, and that comes back.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Subject, TokenSource } from '../../../../src/credential/credential.ts';
import { createCredentialStore } from '../../../../src/credential/store.ts';
import { createSubject } from '../../../../src/credential/subject.ts';
import { CredentialError } from '../../../../src/lib/errors.ts';
import { Secret } from '../../../../src/lib/secret.ts';
import { createEndpoint } from '../../../../src/source/endpoint/endpoint.ts';
import { nullObserver } from '../../../../src/telemetry/observer.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

const away = new CredentialError('source_unavailable', 'away', { retryable: true });
const URL = 'https://idp.example.com/token';

function setup(sources: readonly { readonly name: string; readonly perSubject: boolean }[]) {
  const clock = new FakeClock();
  const endpoint = createEndpoint(URL, {
    clock,
    random: () => 0.5,
    observer: nullObserver,
    refreshesPerHour: undefined,
  });
  let isAway = false;
  let calls = 0;
  const bare = (name: string, perSubject: boolean): TokenSource => ({
    name,
    type: 'client_credentials',
    endpoint: URL,
    syntax: 'b64token',
    perSubject,
    issue: (request) =>
      endpoint.run(name, request, async () => {
        calls++;
        if (isAway) throw away;
        return { value: new Secret(`token-${calls}`), lifetimeMs: 600_000 };
      }),
  });
  const store = createCredentialStore({
    sources: sources.map(({ name, perSubject }) => ({
      source: bare(name, perSubject),
      required: false,
      maxLifetimeMs: undefined,
    })),
    clock,
    observer: nullObserver,
    random: () => 0.5,
    forcedRefreshesPerHour: undefined,
    credentialBytes: 16 << 20,
    firstFetchesPerSecond: 50,
  });
  return {
    clock,
    store,
    calls: () => calls,
    away: (value: boolean) => {
      isAway = value;
    },
  };
}

const subject = (i: number): Subject => createSubject(`subject-${i}`, undefined);

test('five hundred users of a provider that is away make two calls a second, and the first is served within one of its return', async () => {
  const { clock, store, calls, away } = setup([{ name: 'users', perSubject: true }]);
  store.start();
  away(true);
  const askAll = async () => {
    const asked = Array.from({ length: 500 }, (_, i) => store.get('users', 200, undefined, subject(i)));
    const served = Promise.allSettled(asked).then(
      (all) => all.filter(({ status }) => status === 'fulfilled').length,
    );
    await clock.advance(100);
    return served;
  };
  for (let ms = 0; ms < 10_000; ms += 100) assert.equal(await askAll(), 0);
  // 32 at once before the breaker knew.
  assert.ok(calls() <= 32 + 20, `${calls()} calls in 10 s`);
  away(false);
  let served = 0;
  let took = 0;
  for (; served === 0 && took < 3_000; took += 100) served = await askAll();
  assert.ok(took <= 1_000, `${took} ms`);
  await store.stop();
});

test('fifty sources of one provider all recover within a second, although one probe at a time is sent', async () => {
  const names = Array.from({ length: 50 }, (_, i) => `source-${i}`);
  const { clock, store, calls, away } = setup(names.map((name) => ({ name, perSubject: false })));
  away(true);
  store.start();
  for (const name of names) store.subscribe(name, () => {});
  await clock.advance(10_000);
  assert.ok(calls() <= 32 + 20, `${calls()} calls in 10 s`);
  away(false);
  await clock.advance(1_000);
  assert.deepEqual(
    names.filter((name) => store.peek(name) === undefined),
    [],
  );
  await store.stop();
});
