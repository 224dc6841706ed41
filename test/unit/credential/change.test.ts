import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TokenSource } from '../../../src/credential/credential.ts';
import { createCredentialStore, type StoredSource } from '../../../src/credential/store.ts';
import { createSubject } from '../../../src/credential/subject.ts';
import { Secret } from '../../../src/lib/secret.ts';
import { nullObserver } from '../../../src/telemetry/observer.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';

const LIFE = 600_000;

/** Issues NAME-VARIANT-1, NAME-VARIANT-2, …; counts its calls and whether it was closed. */
function sourceOf(name: string, variant: string, patch: Partial<TokenSource> = {}) {
  const seen = { calls: 0, closed: false };
  const source: TokenSource = {
    name,
    type: 'client_credentials',
    endpoint: 'idp',
    syntax: 'b64token',
    perSubject: false,
    async issue() {
      return { value: new Secret(`${name}-${variant}-${++seen.calls}`), lifetimeMs: LIFE };
    },
    async close() {
      seen.closed = true;
    },
    ...patch,
  };
  const stored: StoredSource = { source, required: true, maxLifetimeMs: undefined };
  return { stored, seen };
}

function setup(...sources: StoredSource[]) {
  const clock = new FakeClock();
  const store = createCredentialStore({
    sources,
    clock,
    observer: nullObserver,
    random: () => 0.5,
    forcedRefreshesPerHour: 120,
    credentialBytes: 1 << 20,
    firstFetchesPerSecond: 50,
  });
  store.start();
  return { clock, store };
}

describe('sources that change while the store serves', () => {
  test('go on with what they have where nothing changed, and are new where something did', async () => {
    const kept = sourceOf('a', 'old');
    const old = sourceOf('b', 'old');
    const { store } = setup(kept.stored, old.stored);
    await settle();
    const before = store.peek('a');
    const next = sourceOf('b', 'new');
    const change = await store.prepare([sourceOf('a', 'same').stored, next.stored], new Set(['a']), 500);
    assert.equal(store.peek('b')?.value.reveal(), 'b-old-1', 'nothing changes before the commit');
    change.commit();
    assert.equal(store.peek('a'), before);
    assert.equal(store.peek('b')?.value.reveal(), 'b-new-1', 'the first credential is there already');
  });

  test('are followed by those who subscribed, whichever stands behind the name', async () => {
    const { store } = setup(sourceOf('a', 'old').stored);
    await settle();
    const told: (string | undefined)[] = [];
    store.subscribe('a', (credential) => told.push(credential?.value.reveal()));
    (await store.prepare([sourceOf('a', 'new').stored], new Set(), 500)).commit();
    (await store.prepare([], new Set(), 500)).commit();
    assert.deepEqual(told, ['a-old-1', 'a-new-1', undefined]);
  });

  test('are never mixed: who decided by the sources of before gets nothing of others with the same names', async () => {
    const { store } = setup(sourceOf('a', 'old').stored);
    await settle();
    const before = store.inForce();
    (await store.prepare([sourceOf('a', 'new').stored], new Set(), 500)).commit();
    assert.equal((await store.get('a', 100)).value.reveal(), 'a-new-1');
    assert.equal((await before.get('a', 100)).value.reveal(), 'a-old-1');
    assert.equal(before.peek('a')?.value.reveal(), 'a-old-1');
    const renewed = before.after('a', before.peek('a')!.generation, 100).catch(() => undefined);
    assert.doesNotMatch((await renewed)?.value.reveal() ?? '', /new/);
    (await store.prepare([], new Set(), 500)).commit();
    assert.equal(
      (await before.get('a', 100)).value.reveal(),
      'a-old-1',
      'nor a fault where there is none now',
    );
  });

  test('of subjects are never mixed either: nobody has another’s credentials for a name that was the same', async () => {
    const source = (variant: string) => sourceOf('a', variant, { perSubject: true }).stored;
    const { clock, store } = setup({ ...source('old'), required: false });
    const ann = createSubject('ann', undefined);
    assert.equal((await store.get('a', 100, undefined, ann)).value.reveal(), 'a-old-1');
    const before = store.inForce();
    (await store.prepare([{ ...source('new'), required: false }], new Set(), 500)).commit();
    assert.equal(store.peek('a', ann.key), undefined);
    assert.equal((await store.get('a', 100, undefined, ann)).value.reveal(), 'a-new-1');
    assert.equal(before.peek('a', ann.key)?.value.reveal(), 'a-old-1');
    await clock.advance(11_000);
    assert.equal(before.peek('a', ann.key), undefined, 'what ended takes no place of others');
    assert.equal(store.peek('a', ann.key)?.value.reveal(), 'a-new-1');
  });

  test('that were replaced end later, so that who waits for them is answered', async () => {
    let answer = (_token: Secret): void => {};
    const slow = sourceOf('a', 'old', {
      issue: () =>
        new Promise((resolve) => {
          answer = (value) => resolve({ value, lifetimeMs: LIFE });
        }),
    });
    const { clock, store } = setup(slow.stored);
    const waiting = store.get('a', 3_000);
    (await store.prepare([sourceOf('a', 'new').stored], new Set(), 500)).commit();
    answer(new Secret('a-old-late'));
    assert.equal((await waiting).value.reveal(), 'a-old-late');
    assert.equal(slow.seen.closed, false);
    await clock.advance(10_000);
    assert.equal(slow.seen.closed, true);
  });

  test('that only one may hold begin when the one before has let go', async () => {
    const order: string[] = [];
    const exclusive = (variant: string) =>
      sourceOf('a', variant, {
        exclusive: true,
        async issue() {
          order.push(`${variant} issues`);
          return { value: new Secret(variant), lifetimeMs: LIFE };
        },
        async close() {
          order.push(`${variant} closes`);
        },
      });
    const { store } = setup(exclusive('old').stored);
    await settle();
    (await store.prepare([exclusive('new').stored], new Set(), 500)).commit();
    await settle();
    assert.deepEqual(order, ['old issues', 'old closes', 'new issues']);
  });

  test('are waited for at most as long as was said', async () => {
    const { clock, store } = setup(sourceOf('a', 'old').stored);
    await settle();
    const never = sourceOf('a', 'new', { issue: () => new Promise(() => {}) });
    const preparing = store.prepare([never.stored], new Set(), 500);
    await clock.advance(500);
    (await preparing).commit();
    assert.deepEqual(store.missing(), ['a']);
  });

  test('leave no trace when the change is given up', async () => {
    const { store } = setup(sourceOf('a', 'old').stored);
    await settle();
    const next = sourceOf('a', 'new');
    (await store.prepare([next.stored], new Set(), 500)).abandon();
    await settle();
    assert.equal(store.peek('a')?.value.reveal(), 'a-old-1');
    assert.equal(next.seen.closed, true);
  });
});
