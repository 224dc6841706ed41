import assert from 'node:assert/strict';
import { generateKeyPairSync, verify } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import type { MessageSignatureConfig } from '../../../../src/config/config.ts';
import type { IssueRequest, TokenSource } from '../../../../src/credential/credential.ts';
import { createCredentialStore } from '../../../../src/credential/store.ts';
import { createProcess, EVIDENCE_MS } from '../../../../src/doors/attempt/process.ts';
import { type AttemptKey, createAttemptOutcomes } from '../../../../src/doors/feedback/attempt-outcomes.ts';
import { createCarriedRing } from '../../../../src/doors/feedback/carried-ring.ts';
import { createNonces } from '../../../../src/doors/feedback/nonces.ts';
import { CredentialError } from '../../../../src/lib/errors.ts';
import { Secret } from '../../../../src/lib/secret.ts';
import type { SigningKey } from '../../../../src/proof/message-signature.ts';
import { GrpcError, GrpcStatus } from '../../../../src/server/front.ts';
import { createPendingCall } from '../../../../src/server/pending-call.ts';
import { attemptMessage, readAnswer, responseHeadersMessage } from '../../../support/ext-proc.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { fakePolicies, type PolicyWish } from '../../../support/fake-policies.ts';
import { createRecordingObserver } from '../../../support/recording-observer.ts';

const KEY: AttemptKey = {
  requestId: 'id-1',
  host: 'orders.example.com',
  method: 'GET',
  path: '/v1/orders?user=7',
};

/** A door with one policy, whose source numbers its tokens and can be told to fail. */
async function door(wish: Partial<PolicyWish> = {}, key?: SigningKey) {
  const clock = new FakeClock();
  const recorded = createRecordingObserver();
  const asked: IssueRequest[] = [];
  let failure: CredentialError | undefined;
  let delayMs = 0;
  const source: TokenSource = {
    name: 'orders',
    type: 'static',
    endpoint: 'orders',
    syntax: 'b64token',
    perSubject: wish.subject !== undefined,
    async issue(request) {
      asked.push(request);
      const token = `t${asked.length}`;
      if (delayMs > 0) await new Promise<void>((resolve) => void clock.setTimer(resolve, delayMs));
      if (failure) throw failure;
      return { value: new Secret(token), lifetimeMs: undefined };
    },
  };
  const store = createCredentialStore({
    sources: [{ source, required: false, maxLifetimeMs: undefined }],
    clock,
    observer: recorded.observer,
    random: () => 0.5,
    forcedRefreshesPerHour: 120,
    credentialBytes: 1 << 20,
    firstFetchesPerSecond: 100,
  });
  store.start();
  await clock.advance(0);
  const outcomes = createAttemptOutcomes(clock);
  const nonces = createNonces();
  const handle = createProcess({
    policies: fakePolicies([{ name: 'orders', host: 'orders.example.com', path: '/v1/', ...wish }]),
    store,
    observer: recorded.observer,
    clock,
    maxWaitMs: 3_000,
    carried: createCarriedRing(),
    outcomes,
    nonces,
    plainClusters: new Set(),
    keys: { of: () => key, start: () => Promise.resolve(), stop: () => {} },
  });
  return {
    clock,
    recorded,
    asked,
    store,
    outcomes,
    fail: (error: CredentialError) => {
      failure = error;
    },
    slow: (ms: number) => {
      delayMs = ms;
    },
    /** Bytes when the answer is there at once. */
    process: (wished: Parameters<typeof attemptMessage>[0] = {}, mark: string | undefined = 'orders') =>
      handle(attemptMessage(wished), createPendingCall(undefined), mark),
    raw: (message: Buffer) => handle(message, createPendingCall(undefined), 'orders'),
  };
}

const second = { attempt: 2, headers: { authorization: 'Bearer t1' } };

test('a first attempt gets the current credential at once, in place of the app’s own value', async () => {
  const { process } = await door();
  const answer = process({ headers: { authorization: 'Bearer of-the-app' } });
  assert.ok(answer instanceof Uint8Array, 'synchronous');
  assert.deepEqual(readAnswer(answer), {
    set: { authorization: 'Bearer t1' },
    removed: [],
    status: undefined,
    body: '',
  });
  assert.equal(process(), answer, 'encoded once');
});

test('a cluster that is not marked for the policy draws no credential, whatever Host the app sent', async () => {
  const { process } = await door();
  for (const [wish, mark] of [
    [{}, ''],
    [{}, 'other'],
    [{ host: 'other.example.com' }, 'orders'],
  ] as const) {
    const answer = await process(wish, mark);
    assert.deepEqual(readAnswer(answer).set, {}, JSON.stringify([wish, mark]));
  }
  assert.deepEqual(readAnswer(await process({}, 'other,orders')).set, { authorization: 'Bearer t1' });
});

test('a second attempt after something else than a refusal keeps the current credential', async () => {
  const { process, outcomes, asked } = await door();
  outcomes.tell(KEY, 'failed');
  const answer = process(second);
  assert.ok(answer instanceof Uint8Array, 'synchronous');
  assert.deepEqual(readAnswer(answer).set, { authorization: 'Bearer t1' });
  assert.equal(asked.length, 1);
});

test('a second attempt after a refusal waits for the renewal and carries the new credential', async () => {
  const { process, outcomes, asked, clock, slow } = await door();
  slow(100);
  outcomes.tell(KEY, 'refused');
  const waiting = process(second);
  await clock.advance(100);
  assert.deepEqual(readAnswer(await waiting).set, { authorization: 'Bearer t2' });
  assert.equal(asked[1]!.refused?.reveal(), 't1');
});

test('a hundred refused at once cost one renewal', async () => {
  const { process, outcomes, asked, clock, slow } = await door();
  slow(100);
  const waiting = Array.from({ length: 100 }, (_, i) => {
    outcomes.tell({ ...KEY, requestId: `id-${i}` }, 'refused');
    return process({ ...second, requestId: `id-${i}` });
  });
  await clock.advance(100);
  for (const answer of await Promise.all(waiting)) {
    assert.deepEqual(readAnswer(answer).set, { authorization: 'Bearer t2' });
  }
  assert.equal(asked.length, 2);
});

test('the refusal of a credential that was replaced meanwhile renews nothing', async () => {
  const { process, outcomes, asked } = await door();
  outcomes.tell(KEY, 'refused');
  const answer = await process({ attempt: 2, headers: { authorization: 'Bearer t0' } });
  assert.deepEqual(readAnswer(answer).set, { authorization: 'Bearer t1' });
  assert.equal(asked.length, 1);
});

test('without evidence within 50 ms the current credential goes, and the lack is counted', async () => {
  const { process, asked, clock, recorded } = await door();
  const waiting = process(second);
  assert.ok(waiting instanceof Promise);
  await clock.advance(EVIDENCE_MS);
  assert.deepEqual(readAnswer(await waiting).set, { authorization: 'Bearer t1' });
  assert.deepEqual(recorded.named('feedbackLate'), [['orders']]);
  assert.equal(asked.length, 1);
});

test('heal_on: off waits for no evidence', async () => {
  const { process } = await door({ healOn: 'off' });
  assert.ok(process(second) instanceof Uint8Array);
});

test('a renewal that fails, or takes too long, is answered 503 with Retry-After and the reason', async () => {
  const failed = await door();
  failed.fail(new CredentialError('source_unavailable', 'down', { retryable: true }));
  failed.outcomes.tell(KEY, 'refused');
  const answer = readAnswer(await failed.process(second));
  assert.equal(answer.status, 503);
  assert.equal(answer.set['x-bearerd-reason'], 'source_unavailable');
  assert.ok(Number(answer.set['retry-after']) >= 1);
  assert.match(answer.body, /credential_unavailable/);

  const slow = await door();
  slow.slow(4_000);
  slow.outcomes.tell(KEY, 'refused');
  const waiting = slow.process(second);
  await slow.clock.advance(3_000);
  assert.equal(readAnswer(await waiting).set['x-bearerd-reason'], 'credential_pending');
});

test('refusals over the limits get the current credential: the app sees what the upstream says', async () => {
  const { process, outcomes, asked, clock } = await door();
  let token = 't1';
  for (let i = 0; i < 30; i++) {
    outcomes.tell(KEY, 'refused');
    const answer = await process({ attempt: 2, headers: { authorization: `Bearer ${token}` } });
    token = readAnswer(answer).set['authorization']!.slice('Bearer '.length);
    await clock.advance(10);
  }
  assert.ok(asked.length <= 7, `${asked.length} fetches`);
});

const subject = { token: 'authorization', actor: undefined };
const ofUser = (attempt: number, token: string) => ({
  attempt,
  headers: { authorization: `Bearer ${token}` },
});

test('a user’s first attempt exchanges the subject token, a later one is known by the credential that it carries', async () => {
  const { process, outcomes, asked } = await door({ subject });
  assert.deepEqual(readAnswer(await process(ofUser(1, 'ann'))).set, { authorization: 'Bearer t1' });
  assert.deepEqual(readAnswer(await process(ofUser(1, 'bob'))).set, { authorization: 'Bearer t2' });
  outcomes.tell(KEY, 'failed');
  assert.deepEqual(readAnswer(await process(ofUser(2, 't1'))).set, { authorization: 'Bearer t1' });
  outcomes.tell(KEY, 'refused');
  assert.deepEqual(readAnswer(await process(ofUser(2, 't2'))).set, { authorization: 'Bearer t3' });
  assert.deepEqual(
    asked.map(({ subject, refused }) => [subject?.token.reveal(), refused?.reveal()]),
    [
      ['ann', undefined],
      ['bob', undefined],
      ['bob', 't2'],
    ],
  );
});

test('a later attempt with a credential that nobody knows is denied, and never exchanged as a subject token', async () => {
  const { process, outcomes, asked } = await door({ subject });
  await process(ofUser(1, 'ann'));
  for (const attempt of [
    ofUser(2, 'unknown'),
    { attempt: 2 },
    { attempt: 2, headers: { authorization: 'Basic x' } },
  ]) {
    outcomes.tell(KEY, 'refused');
    const { status, set } = readAnswer(await process(attempt));
    assert.deepEqual([status, set['x-bearerd-reason']], [503, 'credential_expired']);
  }
  assert.equal(asked.length, 1);
});

const ed = generateKeyPairSync('ed25519');
const sign: MessageSignatureConfig = {
  key: { from: 'env', name: 'unused' },
  keyId: 'key-1',
  algorithm: 'ed25519',
  components: ['@target-uri', 'authorization', 'x-tenant'],
  label: 'sig1',
  expiresAfterMs: undefined,
  tag: undefined,
};
const proof = { upstreamUrl: 'https://api.example.com', dpop: false, sign };

test('each attempt is signed anew, over what will be sent and over the app’s own headers', async () => {
  const { process } = await door({ proof }, { kind: 'ed25519', key: ed.privateKey });
  const ask = async () =>
    readAnswer(await process({ headers: { authorization: 'Bearer of-the-app', 'x-tenant': 'a' } })).set;
  const [one, two] = [await ask(), await ask()];
  assert.notEqual(one['signature'], two['signature']);
  for (const set of [one, two]) {
    const parameters = set['signature-input']!.slice('sig1='.length);
    const base = [
      '"@target-uri": https://api.example.com/v1/orders?user=7',
      '"authorization": Bearer t1',
      '"x-tenant": a',
      `"@signature-params": ${parameters}`,
    ].join('\n');
    const signature = Buffer.from(set['signature']!.slice('sig1=:'.length, -1), 'base64');
    assert.ok(verify(null, Buffer.from(base), ed.publicKey, signature), base);
  }
});

test('what cannot be proved does not leave', async () => {
  for (const wish of [{ proof }, { proof: { ...proof, dpop: true, sign: undefined } }]) {
    const { process } = await door(wish);
    const { status, set } = readAnswer(await process());
    assert.deepEqual([status, set['x-bearerd-reason']], [503, 'proof_unavailable']);
    assert.equal(set['authorization'], undefined);
  }
});

test('the time that an answer waited is told with the decision, and nothing of those that did not wait', async () => {
  const { process, outcomes, clock, slow, fail, recorded } = await door();
  const told = () =>
    recorded.named('attemptDecided').map(([, decision, reason, ms]) => [decision, reason, ms]);
  process();
  assert.deepEqual(told(), []);

  slow(100);
  outcomes.tell(KEY, 'refused');
  const healed = process(second);
  await clock.advance(100);
  await healed;

  const unknown = process({ ...second, headers: { authorization: 'Bearer t2' }, requestId: 'id-2' });
  await clock.advance(EVIDENCE_MS);
  await unknown;

  fail(new CredentialError('source_unavailable', 'away', { retryable: true }));
  const third = { ...KEY, requestId: 'id-3' };
  const refused = process({ ...second, headers: { authorization: 'Bearer t2' }, requestId: 'id-3' });
  await clock.advance(20);
  outcomes.tell(third, 'refused');
  await clock.advance(100);
  await refused;
  assert.deepEqual(told(), [
    ['inject', 'injected', 100],
    ['inject', 'injected', EVIDENCE_MS],
    ['deny', 'source_unavailable', 120],
  ]);
});

test('what is no message with request headers is refused, never passed', async () => {
  const { raw, recorded } = await door();
  for (const message of [Buffer.from([0xff]), Buffer.alloc(0), responseHeadersMessage()]) {
    assert.throws(
      () => raw(message),
      (error) => error instanceof GrpcError && error.code === GrpcStatus.INVALID_ARGUMENT,
    );
  }
  assert.equal(recorded.named('attemptDecided').length, 3);
});

test('bytes of any kind are answered or refused, and nothing else happens', async () => {
  const { raw } = await door();
  const good = attemptMessage({ headers: { authorization: 'Bearer of-the-app' } });
  const one = (bytes: Uint8Array): void => {
    try {
      void raw(Buffer.from(bytes));
    } catch (error) {
      assert.ok(error instanceof GrpcError && error.code === GrpcStatus.INVALID_ARGUMENT, String(error));
    }
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), one), { numRuns: 2_000 });
  const flips = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(flips, fc.nat(good.length), (changes, length) => {
      const bytes = Buffer.from(good);
      for (const [at, value] of changes) bytes[at] = value;
      one(bytes);
      one(bytes.subarray(0, length));
    }),
    { numRuns: 2_000 },
  );
});
