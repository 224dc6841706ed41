import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { IssuedToken, IssueRequest, TokenSource } from '../../../src/credential/credential.ts';
import { CredentialError, type CredentialErrorCode } from '../../../src/lib/errors.ts';
import { Secret } from '../../../src/lib/secret.ts';
import { createFallbackSource } from '../../../src/source/fallback.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { issueRequest } from '../../support/issue.ts';
import { createRecordingObserver } from '../../support/recording-observer.ts';

function setup(issue: (request: IssueRequest) => Promise<IssuedToken>) {
  const clock = new FakeClock();
  const recorded = createRecordingObserver();
  let seconds = 0;
  const common = { type: 'static', syntax: 'b64token', perSubject: false } as const;
  const first: TokenSource = { ...common, name: 'main', endpoint: 'main', issue };
  const second: TokenSource = {
    ...common,
    name: 'backup',
    endpoint: 'backup',
    async issue() {
      seconds++;
      return { value: new Secret('of-backup'), lifetimeMs: 1_000 };
    },
  };
  const source = createFallbackSource(first, second, { clock, observer: recorded.observer });
  return { clock, recorded, source, seconds: () => seconds };
}

const failing = (code: CredentialErrorCode) => () =>
  Promise.reject(new CredentialError(code, 'as wanted', { retryable: true }));

describe('a fallback', () => {
  test('is not asked while the first source answers', async () => {
    const { source, seconds } = setup(async () => ({ value: new Secret('of-main'), lifetimeMs: 1 }));
    const issued = await source.issue(issueRequest());
    assert.deepEqual([issued.value.reveal(), issued.source, seconds()], ['of-main', undefined, 0]);
    assert.equal(source.name, 'main');
  });

  for (const code of ['source_unavailable', 'source_timeout'] as const) {
    test(`gives the credential after ${code}, under its own name`, async () => {
      const { source, recorded } = setup(failing(code));
      const issued = await source.issue(issueRequest());
      assert.deepEqual([issued.value.reveal(), issued.source], ['of-backup', 'backup']);
      assert.deepEqual(recorded.named('fallbackUsed'), [['main', 'backup', code]]);
    });
  }

  const refusals: readonly CredentialErrorCode[] = [
    'source_rejected',
    'source_invalid_response',
    'subject_rejected',
    'secret_unreadable',
    'login_required',
  ];
  for (const code of refusals) {
    test(`is never asked after ${code}`, async () => {
      const { source, seconds } = setup(failing(code));
      await assert.rejects(source.issue(issueRequest()), { code });
      assert.equal(seconds(), 0);
    });
  }

  test('has half of the time of whoever waits, when the first one says nothing', async () => {
    const { clock, source, seconds } = setup(() => new Promise(() => {}));
    const issued = source.issue(issueRequest({ neededBy: clock.monotonic() + 1_000 }));
    await clock.advance(499);
    assert.equal(seconds(), 0);
    await clock.advance(1);
    await settle();
    assert.equal((await issued).source, 'backup');
    assert.equal(clock.pendingTimers, 0);
  });
});
