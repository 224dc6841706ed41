import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { IssueRequest } from '../../../../src/credential/credential.ts';
import { CredentialError } from '../../../../src/lib/errors.ts';
import { createEndpoint } from '../../../../src/source/endpoint/endpoint.ts';
import { FakeClock, settle } from '../../../support/fake-clock.ts';
import { createRecordingObserver } from '../../../support/recording-observer.ts';

const away = new CredentialError('source_unavailable', 'the provider answered 503', { retryable: true });

function setup(refreshesPerHour?: number) {
  const clock = new FakeClock();
  const recorded = createRecordingObserver();
  const endpoint = createEndpoint('https://idp.example.com/token', {
    clock,
    random: () => 0.5,
    observer: recorded.observer,
    refreshesPerHour,
  });
  let calls = 0;
  let answer = (_: AbortSignal): Promise<string> => Promise.resolve('token');
  const run = (request: Partial<IssueRequest> = {}, source = 'orders') =>
    endpoint.run(
      source,
      {
        signal: new AbortController().signal,
        neededBy: undefined,
        refused: undefined,
        subject: undefined,
        ...request,
      },
      (signal) => {
        calls++;
        return answer(signal);
      },
    );
  return {
    clock,
    recorded,
    endpoint,
    run,
    needed: (inMs = 3_000, source = 'orders') => run({ neededBy: clock.monotonic() + inMs }, source),
    calls: () => calls,
    answerWith: (next: typeof answer) => {
      answer = next;
    },
  };
}

describe('an endpoint', () => {
  test('that is away is called five times and then by probes only; the others are told its last failure at once', async () => {
    const { clock, run, needed, calls, answerWith, recorded } = setup();
    answerWith(() => Promise.reject(away));
    for (let i = 0; i < 5; i++) await assert.rejects(needed(), away);
    await assert.rejects(needed(), (error: CredentialError) => {
      assert.deepEqual([error.code, error.retryable], ['source_unavailable', true]);
      assert.match(error.message, /answered 503/);
      assert.ok(error.retryAfterMs! > 0 && error.retryAfterMs! <= 500);
      return true;
    });
    await assert.rejects(run(), { retryAfterMs: undefined });
    assert.equal(calls(), 5);
    await clock.advance(500);
    await assert.rejects(needed(), away);
    assert.equal(calls(), 6);
    assert.deepEqual(
      recorded.named('breakerChanged').map((event) => event[1]),
      ['closed', 'open', 'half_open', 'open'],
    );
  });

  test('back again, it gives everybody their token within one probe: they wait for it and not for their own', async () => {
    const { clock, needed, calls, answerWith } = setup();
    answerWith(() => Promise.reject(away));
    for (let i = 0; i < 5; i++) await assert.rejects(needed());
    await clock.advance(500);
    let finish = (_: string) => {};
    answerWith(() => new Promise((resolve) => (finish = resolve)));
    const all = ['a', 'b', 'c'].map((source) => needed(3_000, source));
    await settle();
    assert.equal(calls(), 6, 'one probe');
    answerWith(() => Promise.resolve('token'));
    finish('token');
    assert.deepEqual(await Promise.all(all), ['token', 'token', 'token']);
    assert.equal(calls(), 8);
  });

  test('a refusal or an answer that is no token opens nothing: the provider is there', async () => {
    const { endpoint, needed, answerWith } = setup();
    for (const code of ['source_rejected', 'source_invalid_response', 'secret_unreadable'] as const) {
      answerWith(() => Promise.reject(new CredentialError(code, code, { retryable: true })));
      for (let i = 0; i < 6; i++) await assert.rejects(needed(), { code });
    }
    assert.equal(endpoint.status().breaker, 'closed');
  });

  test('that swallows everything: each call ends after 5 s, also one that ignores its signal', async () => {
    const { clock, needed, answerWith } = setup();
    answerWith(() => new Promise(() => {}));
    const refused = assert.rejects(needed(60_000), { code: 'source_timeout' });
    await clock.advance(5_000);
    await refused;
  });

  test('whose way was a black hole: its return is seen within a second, although the calls from before never end', async () => {
    const { clock, needed, calls, answerWith } = setup();
    answerWith(() => Promise.reject(away));
    await assert.rejects(needed());
    answerWith(() => new Promise(() => {}));
    const served = needed();
    await clock.advance(2_100);
    assert.equal(calls(), 1 + 5, 'one every 500 ms');
    answerWith(() => Promise.resolve('token'));
    await clock.advance(400);
    assert.equal(await served, 'token');
    await clock.advance(10_000);
    assert.equal(calls(), 7);
  });

  test('that swallows a renewal until the old credential has ended is called again beside it, and before that not', async () => {
    const { clock, run, calls, answerWith } = setup();
    answerWith(() => new Promise(() => {}));
    const renewed = run({ leftMs: 3_000 });
    const early = run({ leftMs: 60_000 }, 'billing').catch(() => {});
    await clock.advance(2_990);
    assert.equal(calls(), 2);
    answerWith(() => Promise.resolve('token'));
    await clock.advance(10);
    assert.equal(await renewed, 'token');
    assert.equal(calls(), 3);
    await clock.advance(10_000);
    await early;
    assert.equal(calls(), 3);
  });

  test('that is slow because of its load gets no more of it: beside 32 waiting calls one in 500 ms is sent', async () => {
    const { clock, needed, calls, answerWith } = setup();
    answerWith(
      (signal) =>
        new Promise((resolve) => {
          const timer = clock.setTimer(() => resolve('token'), 4_000);
          signal.addEventListener('abort', () => timer.cancel());
        }),
    );
    const all = Array.from({ length: 32 }, (_, i) => needed(10_000, `s${i}`));
    await clock.advance(4_000);
    assert.equal((await Promise.all(all)).length, 32);
    assert.ok(calls() <= 32 + 5, `${calls()} calls`);
  });

  test('what stood in line when the breaker opened is not sent', async () => {
    const { needed, calls, answerWith } = setup();
    const fails: (() => void)[] = [];
    answerWith(() => new Promise((_, reject) => fails.push(() => reject(away))));
    const all = Array.from({ length: 100 }, (_, i) => needed(3_000, `s${i}`).catch((e) => e.message));
    await settle();
    assert.equal(calls(), 32);
    for (let i = 0; i < 5; i++) {
      fails.shift()!();
      await settle();
    }
    for (const fail of fails) fail();
    const told = await Promise.all(all);
    // Each of the first four failures let one more through before the fifth opened it.
    assert.equal(calls(), 36);
    assert.equal(told.filter((message) => /in a moment/.test(message)).length, 100 - 36);
  });

  test('the cap of renewals holds back the background and nobody who waits', async () => {
    const { run, needed, calls, recorded } = setup(6);
    await run();
    await assert.rejects(run(), /refreshes_per_hour is reached/);
    await needed();
    await run({ refused: undefined, neededBy: 1e9 });
    assert.equal(calls(), 3);
    assert.deepEqual(recorded.named('endpointRefused'), [['https://idp.example.com/token', 'refresh_cap']]);
  });

  test('a call that was given up before its turn is not sent', async () => {
    const { run, calls } = setup();
    const controller = new AbortController();
    controller.abort();
    await assert.rejects(run({ signal: controller.signal }), { code: 'source_timeout' });
    assert.equal(calls(), 0);
  });
});
