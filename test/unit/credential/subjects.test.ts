import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { IssuedToken, IssueRequest, TokenSource } from '../../../src/credential/credential.ts';
import { createCredentialStore } from '../../../src/credential/store.ts';
import { createSubject, keyOf } from '../../../src/credential/subject.ts';
import { CredentialError } from '../../../src/lib/errors.ts';
import { Secret } from '../../../src/lib/secret.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { createRecordingObserver } from '../../support/recording-observer.ts';

const MINUTE = 60_000;
const LIFE = 10 * MINUTE;

const user = (name: string | number) => createSubject(`subject-of-${name}`, undefined);

/** A provider whose tokens name the subject, and how many the subject had. */
function setup(options: { bytes?: number; firstFetches?: number; lifeMs?: number } = {}) {
  const clock = new FakeClock();
  const recorded = createRecordingObserver();
  const calls: IssueRequest[] = [];
  const counts = new Map<string, number>();
  let changed = () => {};
  const answer = async ({ subject }: IssueRequest): Promise<IssuedToken> => {
    const name = subject!.token.reveal();
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    return { value: new Secret(`${name}.${count}`), lifetimeMs: options.lifeMs ?? LIFE };
  };
  const provider = { answer };
  const source: TokenSource = {
    name: 'partner',
    type: 'client_credentials',
    endpoint: 'idp',
    syntax: 'b64token',
    perSubject: true,
    issue(request) {
      calls.push(request);
      return provider.answer(request);
    },
    watch(listener) {
      changed = listener;
      return () => {};
    },
  };
  const store = createCredentialStore({
    sources: [{ source, required: false, maxLifetimeMs: undefined }],
    clock,
    observer: recorded.observer,
    random: () => 0.5,
    forcedRefreshesPerHour: 10_000,
    credentialBytes: options.bytes ?? 16 << 20,
    firstFetchesPerSecond: options.firstFetches ?? 10_000,
  });
  store.start();
  const get = (name: string | number) => store.get('partner', 1_000, undefined, user(name));
  const peek = (name: string | number) => store.peek('partner', user(name).key);
  return { clock, recorded, calls, provider, store, get, peek, changeSecret: () => changed() };
}

describe('a credential for each subject', () => {
  test('a thousand parallel askers of one subject cost one token call, and another subject has its own', async () => {
    const { calls, get } = setup();
    const all = await Promise.all(Array.from({ length: 1_000 }, () => get('ann')));
    assert.equal(new Set(all.map(({ generation }) => generation)).size, 1);
    assert.equal(calls.length, 1);
    assert.equal((await get('bob')).value.reveal(), 'subject-of-bob.1');
    assert.equal((await get('ann')).value.reveal(), 'subject-of-ann.1');
    assert.equal(calls.length, 2);
  });

  test('the same subject with another actor is another key', () => {
    assert.notEqual(createSubject('a', 'b').key, createSubject('a', undefined).key);
    assert.notEqual(createSubject('a', 'b').key, createSubject('a', 'c').key);
  });

  test('without a subject there is none', async () => {
    const { store } = setup();
    assert.equal(store.peek('partner'), undefined);
    await assert.rejects(store.get('partner', 1_000), { code: 'subject_missing' });
  });

  test('ends in time although no timer is its own, and is forgotten with its subject token', async () => {
    const { clock, store, get, peek } = setup();
    await get('ann');
    await clock.advance(LIFE - 10_001);
    assert.ok(peek('ann'));
    await clock.advance(1);
    assert.equal(peek('ann'), undefined);
    await clock.advance(4_000);
    assert.equal(store.status()[0]?.subjects, 0);
    assert.equal(clock.pendingTimers, 0);
  });

  test('what the provider says of the key, the source and the time of the next call is kept', async () => {
    const { clock, calls, provider, get, peek } = setup();
    provider.answer = async () => ({
      value: new Secret('t'),
      lifetimeMs: LIFE,
      refreshAfterMs: MINUTE,
      keyId: 'k1',
      bound: true,
      source: 'backup',
    });
    const { source, issuedBy, keyId, bound } = await get('ann');
    assert.deepEqual(
      { source, issuedBy, keyId, bound },
      { source: 'partner', issuedBy: 'backup', keyId: 'k1', bound: true },
    );
    peek('ann');
    await clock.advance(MINUTE - 1);
    assert.equal(calls.length, 1);
    await clock.advance(2_500);
    assert.equal(calls.length, 2);
  });
});

describe('renewal in the background', () => {
  test('of 10,000 subjects who came once none is renewed', async () => {
    const { clock, calls, get } = setup({ bytes: 1 << 30, firstFetches: 1_000_000 });
    for (let i = 0; i < 10_000; i++) await get(i);
    await clock.advance(LIFE);
    assert.equal(calls.length, 10_000);
  });

  test('one that was used again is renewed ahead of its end, once, and again only if it is used again', async () => {
    const { clock, calls, get, peek } = setup();
    await get('ann');
    await clock.advance(5 * MINUTE);
    assert.ok(peek('ann'));
    await clock.advance(1.1 * MINUTE);
    assert.equal(calls.length, 2);
    assert.equal(calls[1]?.neededBy, undefined);
    await clock.advance(LIFE);
    assert.equal(calls.length, 2);
    assert.equal(peek('ann'), undefined);
  });

  test('one whose time came while nobody used it is renewed when somebody does', async () => {
    const { clock, calls, get, peek } = setup();
    await get('ann');
    await clock.advance(9 * MINUTE);
    assert.equal(calls.length, 1);
    assert.equal(peek('ann')?.value.reveal(), 'subject-of-ann.1');
    await clock.advance(3_000);
    assert.equal(peek('ann')?.value.reveal(), 'subject-of-ann.2');
  });

  test('while the provider is away the old one is served and the provider is asked with back-off', async () => {
    const { clock, calls, provider, get, peek } = setup();
    await get('ann');
    provider.answer = () =>
      Promise.reject(new CredentialError('source_unavailable', 'away', { retryable: true }));
    for (let second = 0; second < 580; second++) {
      assert.ok(peek('ann'));
      await clock.advance(1_000);
    }
    assert.ok(calls.length > 5 && calls.length < 30, `${calls.length} calls`);
  });
});

describe('first fetches', () => {
  test('have a rate, beyond which the answer is immediate', async () => {
    const { clock, calls, get } = setup({ firstFetches: 50 });
    const results = await Promise.allSettled(Array.from({ length: 200 }, (_, i) => get(i)));
    assert.equal(results.filter((r) => r.status === 'fulfilled').length, 50);
    assert.ok(results.every((r) => r.status === 'fulfilled' || r.reason.code === 'first_fetch_limited'));
    await clock.advance(1_000);
    await get('another');
    assert.equal(calls.length, 51);
  });

  test('that a provider refused are remembered for 10 s, or until a secret changes', async () => {
    const { clock, calls, provider, store, get, changeSecret } = setup();
    provider.answer = () =>
      Promise.reject(new CredentialError('subject_rejected', 'invalid_grant', { retryable: false }));
    for (let i = 0; i < 10; i++) {
      await assert.rejects(get('ann'), { code: 'subject_rejected' });
      await clock.advance(999);
    }
    assert.equal(calls.length, 1);
    assert.ok(store.retryAfterMs('partner', user('ann').key) >= 1_000);
    await clock.advance(20);
    await assert.rejects(get('ann'));
    assert.equal(calls.length, 2);
    changeSecret();
    await assert.rejects(get('ann'));
    assert.equal(calls.length, 3);
  });

  test('that failed for another reason are tried again within a second', async () => {
    const { clock, provider, get } = setup();
    const { answer } = provider;
    provider.answer = () =>
      Promise.reject(new CredentialError('source_timeout', 'slow', { retryable: true }));
    await assert.rejects(get('ann'), { code: 'source_timeout' });
    provider.answer = answer;
    await assert.rejects(get('ann'), { code: 'source_timeout' });
    await clock.advance(501);
    assert.ok(await get('ann'));
  });
});

describe('the bound in bytes', () => {
  test('the one used longest ago makes room, is found by nothing any more, and is counted', async () => {
    const { recorded, store, get, peek } = setup({ bytes: 64 << 10 });
    const first = await get(0);
    for (let i = 1; i < 200; i++) {
      await get(i);
      if (i === 10) peek(1);
    }
    assert.equal(peek(0), undefined);
    assert.equal(store.subjectOf('partner', keyOf(first.value.reveal())), undefined);
    assert.equal(store.refused('partner', first.generation, 'r'), 'stale');
    const held = store.status()[0]!.subjects!;
    assert.ok(held > 20 && held < 50, `${held} held`);
    assert.equal(recorded.named('subjectEvicted').length, 200 - held);
    for (let i = 200 - held; i < 200; i++) assert.equal(peek(i)?.value.reveal(), `subject-of-${i}.1`);
  });
});

describe('a credential that an upstream refused', () => {
  test('is renewed for its subject only; waiting for what comes after it gets the new one', async () => {
    const { calls, store, get, peek } = setup();
    const old = await get('ann');
    await get('bob');
    assert.equal(store.refused('partner', old.generation, 'r1'), 'started');
    assert.equal(store.refused('partner', old.generation, 'r2'), 'joined');
    assert.equal(calls[2]?.refused?.reveal(), 'subject-of-ann.1');
    const renewed = await store.after('partner', old.generation, 1_000, undefined, user('ann'));
    assert.equal(renewed.value.reveal(), 'subject-of-ann.2');
    assert.equal(store.refused('partner', old.generation, 'r3'), 'stale');
    assert.equal(peek('bob')?.value.reveal(), 'subject-of-bob.1');
  });

  test('tells its subject by the hash of its value, also after it was renewed, and not after its end', async () => {
    const { clock, store, get } = setup();
    const old = await get('ann');
    store.refused('partner', old.generation, 'r');
    await settle();
    const carried = store.subjectOf('partner', keyOf('subject-of-ann.1'));
    assert.equal(carried?.subject.token.reveal(), 'subject-of-ann');
    assert.equal(carried?.generation, old.generation);
    assert.ok(store.subjectOf('partner', keyOf('subject-of-ann.2'))!.generation > old.generation);
    assert.equal(store.subjectOf('partner', keyOf('subject-of-ann')), undefined);
    await clock.advance(LIFE);
    assert.equal(store.subjectOf('partner', keyOf('subject-of-ann.1')), undefined);
  });

  test('a value that two subjects share tells of neither', async () => {
    const { provider, store, get } = setup();
    provider.answer = async () => ({ value: new Secret('shared'), lifetimeMs: LIFE });
    await get('ann');
    assert.ok(store.subjectOf('partner', keyOf('shared')));
    await get('bob');
    assert.equal(store.subjectOf('partner', keyOf('shared')), undefined);
  });

  test('limits: five more for one subject, and a fifth of the subjects a minute', async () => {
    const { store, get, peek } = setup();
    for (let i = 0; i < 100; i++) await get(i);
    const again = async (name: number) => {
      const outcome = store.refused('partner', peek(name)!.generation, 'the same request');
      await settle();
      return outcome;
    };
    const one: string[] = [];
    for (let i = 0; i < 8; i++) one.push(await again(0));
    assert.deepEqual(one, [...Array(6).fill('started'), 'limited', 'limited']);
    // The first of each subject counts against the endpoint only.
    for (let i = 1; i < 100; i++) assert.equal(await again(i), 'started');
    let repeats = 0;
    for (let i = 1; i < 100; i++) if ((await again(i)) === 'started') repeats++;
    assert.equal(repeats, 20 - 5);
  });
});
