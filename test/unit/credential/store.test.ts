import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type {
  Credential,
  IssuedToken,
  IssueRequest,
  TokenSource,
} from '../../../src/credential/credential.ts';
import { createCredentialStore } from '../../../src/credential/store.ts';
import { CredentialError } from '../../../src/lib/errors.ts';
import { Secret } from '../../../src/lib/secret.ts';
import { nullObserver, type Observer } from '../../../src/telemetry/observer.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { createRecordingObserver } from '../../support/recording-observer.ts';

const MINUTE = 60_000;
const LIFE = 10 * MINUTE;

/** A provider that answers as it is told to. */
function scripted(clock: FakeClock) {
  const calls: number[] = [];
  let answer = async (n: number): Promise<IssuedToken> => ({
    value: new Secret(`token-${n}`),
    lifetimeMs: LIFE,
  });
  let changed = () => {};
  const source: TokenSource = {
    name: 'orders',
    type: 'client_credentials',
    endpoint: 'idp',
    syntax: 'b64token',
    perSubject: false,
    issue() {
      calls.push(clock.monotonic());
      return answer(calls.length);
    },
    watch(listener) {
      changed = listener;
      return () => {};
    },
  };
  return {
    source,
    calls,
    answerWith: (next: (n: number) => Promise<IssuedToken>) => {
      answer = next;
    },
    fail: (error: CredentialError) => {
      answer = () => Promise.reject(error);
    },
    changeSecret: () => changed(),
  };
}

function setup(options: { required?: boolean; observer?: Observer } = {}) {
  const clock = new FakeClock();
  const provider = scripted(clock);
  const store = createCredentialStore({
    sources: [
      {
        source: provider.source,
        required: options.required ?? true,
        maxLifetimeMs: undefined,
      },
    ],
    clock,
    observer: options.observer ?? nullObserver,
    random: () => 0.5,
    forcedRefreshesPerHour: 120,
    credentialBytes: 1 << 20,
    firstFetchesPerSecond: 50,
  });
  return { clock, provider, store };
}

const away = new CredentialError('source_unavailable', 'away', { retryable: true });

describe('a live credential', () => {
  test('a thousand askers of an empty cache cost one token call', async () => {
    const { provider, store } = setup();
    const all = await Promise.all(Array.from({ length: 1_000 }, () => store.get('orders', 1_000)));
    assert.equal(new Set(all.map((credential) => credential.generation)).size, 1);
    assert.equal(provider.calls.length, 1);
  });

  test('is renewed at 50 to 70 % of its life, while the old one is served', async () => {
    const { clock, provider, store } = setup();
    store.start();
    await settle();
    await clock.advance(LIFE * 0.59);
    assert.equal(provider.calls.length, 1);
    await clock.advance(LIFE * 0.02);
    assert.equal(provider.calls.length, 2);
    assert.equal(store.peek('orders')?.value.reveal(), 'token-2');
  });

  test('ends 10 s before its time when it cannot be renewed, and never later', async () => {
    const { clock, provider, store } = setup();
    store.start();
    await settle();
    provider.fail(away);
    await clock.advance(LIFE - 10_001);
    assert.ok(store.peek('orders'));
    await clock.advance(1);
    assert.equal(store.peek('orders'), undefined);
  });

  test('ends by the wall clock when that is ahead, and by the monotonic one when the wall clock was set back', async () => {
    const ahead = setup();
    await ahead.store.get('orders', 1_000);
    ahead.clock.setWall(ahead.clock.now() + LIFE);
    assert.equal(ahead.store.peek('orders'), undefined);

    const back = setup();
    await back.store.get('orders', 1_000);
    back.provider.fail(away);
    back.clock.setWall(back.clock.now() - 3_600_000);
    await back.clock.advance(LIFE);
    assert.equal(back.store.peek('orders'), undefined);
  });

  test('subscribers are told of each new one and of its end', async () => {
    const { clock, provider, store } = setup();
    const told: (number | undefined)[] = [];
    store.subscribe('orders', (credential: Credential | undefined) => told.push(credential?.generation));
    store.start();
    await settle();
    provider.fail(away);
    await clock.advance(LIFE);
    assert.deepEqual(told, [undefined, 1, undefined]);
  });
});

describe('a provider that is away', () => {
  test('is asked at most every 30 s on average while a credential lives', async () => {
    const { clock, provider, store } = setup();
    store.start();
    await settle();
    provider.fail(away);
    await clock.advance(LIFE - 61_000);
    assert.ok(provider.calls.length < 40, `${provider.calls.length} calls`);
  });

  test('is noticed within a second of its return while somebody asks', async () => {
    const { clock, provider, store } = setup();
    provider.fail(away);
    store.start();
    await settle();
    for (let i = 0; i < 50; i++) {
      await store.get('orders', 100).catch(() => {});
      await clock.advance(200);
    }
    provider.answerWith(async () => ({ value: new Secret('back'), lifetimeMs: LIFE }));
    await clock.advance(1_000);
    assert.equal(store.peek('orders')?.value.reveal(), 'back');
  });

  test('Retry-After is honoured', async () => {
    const { clock, provider, store } = setup();
    provider.fail(
      new CredentialError('source_unavailable', '429', { retryable: true, retryAfterMs: 20_000 }),
    );
    store.start();
    await settle();
    await clock.advance(19_000);
    assert.equal(provider.calls.length, 1);
    await clock.advance(1_500);
    assert.equal(provider.calls.length, 2);
  });

  test('a refused client is not asked again for 30 s, but at once when its secret file changes', async () => {
    const { clock, provider, store } = setup();
    provider.fail(new CredentialError('source_rejected', 'invalid_client', { retryable: false }));
    store.start();
    await settle();
    await clock.advance(29_000);
    assert.equal(provider.calls.length, 1);
    provider.answerWith(async () => ({ value: new Secret('new'), lifetimeMs: LIFE }));
    provider.changeSecret();
    await settle();
    assert.equal(store.peek('orders')?.value.reveal(), 'new');
  });

  test('an asker waits no longer than it said, and its leaving ends nobody else’s fetch', async () => {
    const { clock, provider, store } = setup();
    let finish = (_: IssuedToken) => {};
    provider.answerWith(() => new Promise((resolve) => (finish = resolve)));
    const short = store.get('orders', 100);
    const long = store.get('orders', 3_000);
    const refused = assert.rejects(short, { code: 'credential_pending' });
    await clock.advance(100);
    await refused;
    finish({ value: new Secret('late'), lifetimeMs: LIFE });
    assert.equal((await long).value.reveal(), 'late');
  });

  test('whoever waited in vain for a fetch under way is told to come again in a second, not at the next planned renewal', async () => {
    const { clock, provider, store } = setup();
    store.start();
    await settle();
    provider.answerWith(() => new Promise(() => {}));
    const { generation } = store.peek('orders')!;
    assert.equal(store.refused('orders', generation, 'r'), 'started');
    const waiting = assert.rejects(store.after('orders', generation, 3_000), { code: 'credential_pending' });
    await clock.advance(3_000);
    await waiting;
    assert.equal(store.retryAfterMs('orders'), 1_000);
  });

  test('that hangs holds a request for 300 ms once it has failed, and tells why', async () => {
    const { clock, provider, store } = setup();
    provider.fail(away);
    store.start();
    await settle();
    provider.answerWith(() => new Promise(() => {}));
    await clock.advance(500);
    const begun = clock.monotonic();
    const refused = assert.rejects(store.get('orders', 3_000), away);
    await clock.advance(300);
    await refused;
    assert.equal(clock.monotonic() - begun, 300);
  });

  test('silence ends as source_timeout, 5 s after the turn that it had 5 s for', async () => {
    const { clock, provider, store } = setup();
    provider.answerWith(() => new Promise(() => {}));
    store.start();
    await clock.advance(10_001);
    assert.equal(store.failure('orders')?.code, 'source_timeout');
  });
});

describe('a clock that cannot be trusted', () => {
  test('a machine that slept: the first request finds no credential, and Envoy’s is taken back within a second', async () => {
    for (const pushed of [false, true]) {
      const { clock, provider, store } = setup();
      const told: (number | undefined)[] = [];
      await store.get('orders', 1_000);
      if (pushed) store.subscribe('orders', (credential) => told.push(credential?.generation));
      provider.fail(away);
      // CLOCK_MONOTONIC stands still meanwhile, and every timer with it.
      clock.setWall(clock.now() + LIFE);
      if (pushed) {
        await clock.advance(1_000);
        assert.deepEqual(told, [1, undefined]);
      } else assert.equal(store.peek('orders'), undefined);
    }
  });

  test('set back by an hour before, during or after a fetch, it makes nothing live longer', async () => {
    for (const when of ['before', 'during', 'after']) {
      const { clock, provider, store } = setup();
      const back = () => clock.setWall(clock.now() - 3_600_000);
      provider.answerWith(async () => {
        if (when === 'during') back();
        return { value: new Secret('t'), lifetimeMs: LIFE };
      });
      if (when === 'before') back();
      await store.get('orders', 1_000);
      if (when === 'after') back();
      provider.fail(away);
      await clock.advance(LIFE - 10_001);
      assert.ok(store.peek('orders'), when);
      await clock.advance(1);
      assert.equal(store.peek('orders'), undefined, when);
    }
  });
});

describe('what a provider answers', () => {
  for (const [what, value] of [
    ['a line break', 'a\r\nx-admin: 1'],
    ['a space', 'a b'],
    ['nothing', ''],
    ['20 kB', 'a'.repeat(20_000)],
    ['non-ASCII', 'tökén'],
  ] as const) {
    test(`a token with ${what} is refused and the old one stays`, async () => {
      const { clock, provider, store } = setup();
      store.start();
      await settle();
      provider.answerWith(async () => ({ value: new Secret(value), lifetimeMs: LIFE }));
      await clock.advance(LIFE * 0.65);
      assert.equal(store.failure('orders')?.code, 'source_invalid_response');
      assert.equal(store.peek('orders')?.value.reveal(), 'token-1');
    });
  }

  test('a life of years is cut to 24 hours', async () => {
    const { clock, provider, store } = setup();
    provider.answerWith(async () => ({ value: new Secret('t'), lifetimeMs: 1e15 }));
    const credential = await store.get('orders', 1_000);
    assert.equal(credential.expiresAt - clock.now(), 86_400_000);
  });
});

describe('refused by an upstream', () => {
  test('a hundred refusals of one generation start one renewal, and the next revocations are renewed too', async () => {
    const { clock, provider, store } = setup();
    await store.get('orders', 1_000);
    // Found under load: every refusal was charged, so that the second revocation met used-up limits.
    for (let revocation = 0; revocation < 4; revocation++) {
      const { generation } = store.peek('orders')!;
      let finish = () => {};
      provider.answerWith(
        (n) =>
          new Promise(
            (resolve) => (finish = () => resolve({ value: new Secret(`t${n}`), lifetimeMs: LIFE })),
          ),
      );
      await clock.advance(2_500);
      const outcomes = Array.from({ length: 100 }, (_, i) => store.refused('orders', generation, `r${i}`));
      assert.deepEqual(outcomes.slice(0, 2), ['started', 'joined']);
      finish();
      await settle();
      assert.equal(store.refused('orders', generation, 'late'), 'stale');
    }
    assert.equal(provider.calls.length, 5);
  });

  test('an upstream that always refuses gets five renewals at once and then one in 30 s', async () => {
    const { clock, provider, store } = setup();
    await store.get('orders', 1_000);
    const outcomes: string[] = [];
    for (let i = 0; i < 12; i++) {
      outcomes.push(store.refused('orders', store.peek('orders')!.generation, 'the same request'));
      await settle();
    }
    assert.deepEqual(
      outcomes.map((o) => o === 'started'),
      [true, true, true, true, true, true, false, false, false, false, false, false],
    );
    await clock.advance(31_000);
    assert.equal(store.refused('orders', store.peek('orders')!.generation, 'x'), 'started');
    assert.ok(provider.calls.length <= 8);
  });

  test('three new ones in a row, each refused at once for three requests, are refused for good; it stays in use', async () => {
    for (const mend of ['a changed secret', 'a reload'] as const) {
      const { provider, store } = setup();
      store.start();
      await settle();
      let last = '';
      for (let round = 0; round < 6 && last !== 'refused_for_good'; round++) {
        const { generation } = store.peek('orders')!;
        for (const key of ['a', 'b', 'c']) last = store.refused('orders', generation, key);
        await settle();
      }
      assert.equal(last, 'refused_for_good');
      assert.ok(store.peek('orders'));
      if (mend === 'a reload') store.reconsider();
      else provider.changeSecret();
      await settle();
      assert.equal(store.refused('orders', store.peek('orders')!.generation, 'a'), 'started', mend);
    }
  });

  test('refused for good ends with the next planned renewal, and not before', async () => {
    const { clock, provider, store } = setup();
    store.start();
    await settle();
    const refuse = async () => {
      const { generation } = store.peek('orders')!;
      const outcomes = ['a', 'b', 'c'].map((key) => store.refused('orders', generation, key));
      await settle();
      return outcomes.at(-1);
    };
    for (let round = 0; (await refuse()) !== 'refused_for_good'; round++) assert.ok(round < 6);
    const calls = provider.calls.length;
    let refusedForGoodMs = 0;
    for (; provider.calls.length === calls; refusedForGoodMs += 1_000) {
      assert.equal(await refuse(), 'refused_for_good');
      await clock.advance(1_000);
    }
    assert.ok(refusedForGoodMs > 0.4 * LIFE, `the planned renewal came after ${refusedForGoodMs} ms`);
    assert.equal(await refuse(), 'joined', 'another renewal is tried');
  });

  test('refused at once means since Envoy has it, which may take it over long after it was published', async () => {
    for (const [carriedForMs, expected] of [
      [1_900, 'refused_for_good'],
      [2_100, 'limited'],
      [undefined, 'limited'],
    ] as const) {
      const { clock, store } = setup();
      store.start();
      await settle();
      let last = '';
      for (let round = 0; round < 10; round++) {
        await clock.advance(3_000);
        const { generation } = store.peek('orders')!;
        for (const key of ['a', 'b', 'c']) last = store.refused('orders', generation, key, carriedForMs);
        await settle();
      }
      assert.equal(last, expected, `${carriedForMs} ms`);
    }
  });
});

test('a fetch says for whom it is: the first is waited for, a renewal is not, an urgent one until the end of the old', async () => {
  const { clock, provider, store } = setup();
  const asked: IssueRequest[] = [];
  const issue = provider.source.issue;
  provider.source.issue = (request) => {
    asked.push(request);
    return issue(request);
  };
  store.start();
  await settle();
  const begun = clock.monotonic();
  provider.fail(away);
  await clock.advance(LIFE - 20_000);
  const [first, second] = asked;
  const last = asked.at(-1)!;
  assert.deepEqual([first!.neededBy, first!.leftMs], [begun + 5_000, undefined]);
  assert.deepEqual([second!.neededBy, second!.leftMs], [undefined, LIFE * 0.4 - 10_000]);
  assert.equal(last.neededBy, begun + LIFE - 10_000);
  await clock.advance(40_000);
  assert.deepEqual([asked.at(-1)!.leftMs, asked.at(-1)!.neededBy], [undefined, undefined]);
});

test('readiness names required sources until their first credential, and then never again', async () => {
  const { clock, provider, store } = setup();
  assert.deepEqual(store.missing(), ['orders']);
  store.start();
  await settle();
  provider.fail(away);
  await clock.advance(LIFE * 2);
  assert.equal(store.peek('orders'), undefined);
  assert.deepEqual(store.missing(), []);
  await store.stop();
  assert.equal(clock.pendingTimers, 0);
});

test('a call that is under way at the stop is no failure of the provider', async () => {
  const { observer, named } = createRecordingObserver();
  const { provider, store } = setup({ observer });
  provider.answerWith(() => new Promise(() => {}));
  store.start();
  await settle();
  await store.stop();
  assert.deepEqual(named('refreshFailed'), []);
});
