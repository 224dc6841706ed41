import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Failed, retryDelayMs } from '../../../src/credential/retry.ts';
import { CredentialError } from '../../../src/lib/errors.ts';

const MINUTE = 60_000;
const away = new CredentialError('source_unavailable', 'away', { retryable: true });
const told = (retryAfterMs: number) =>
  new CredentialError('source_unavailable', '429', { retryable: true, retryAfterMs });
const rejected = new CredentialError('source_rejected', 'invalid_client', { retryable: false });

const delay = (failed: Partial<Failed>, random = 0.999_999) =>
  Math.round(
    retryDelayMs(
      { error: away, failures: 0, leftMs: 30 * MINUTE, lifetimeMs: 60 * MINUTE, isAsked: false, ...failed },
      () => random,
    ),
  );

describe('after a failure', () => {
  test('the wait doubles from 250 ms to 30 s while a credential lives, drawn from all of it', () => {
    assert.deepEqual(
      [0, 1, 2, 6, 7, 50].map((failures) => delay({ failures })),
      [250, 500, 1_000, 16_000, 30_000, 30_000],
    );
    assert.equal(delay({ failures: 7 }, 0.5), 15_000);
    assert.equal(delay({ failures: 7 }, 0), 125, 'but never none');
  });

  test('an urgent one waits a fifth of what is left at most, and never under 500 ms', () => {
    assert.equal(delay({ failures: 9, leftMs: 6.1 * MINUTE }), 30_000, 'more than a tenth is left');
    assert.equal(delay({ failures: 9, leftMs: MINUTE }), 12_000);
    assert.equal(delay({ failures: 9, leftMs: 1_000 }), 500);
  });

  test('with none left it is 500 ms while somebody asks, and back-off while nobody does', () => {
    assert.equal(delay({ failures: 9, leftMs: 0, isAsked: true }), 500);
    assert.equal(delay({ failures: 9, leftMs: 0 }), 30_000);
    assert.equal(delay({ failures: 0, leftMs: -5 }), 500);
  });

  test('Retry-After counts up to 5 min and a third of the time left, with none left up to 30 s', () => {
    assert.equal(delay({ error: told(MINUTE) }), MINUTE);
    assert.equal(delay({ error: told(60 * MINUTE) }), 5 * MINUTE);
    assert.equal(delay({ error: told(60 * MINUTE), leftMs: 6 * MINUTE }), 2 * MINUTE);
    assert.equal(delay({ error: told(60 * MINUTE), leftMs: 0, isAsked: true }), 30_000);
    assert.equal(delay({ error: told(2_000), leftMs: 0, isAsked: true }), 2_000);
  });

  test('what the provider refused is asked again after 30 to 40 s, whoever asks', () => {
    assert.equal(delay({ error: rejected, isAsked: true, leftMs: 0 }, 0), 30_000);
    assert.equal(delay({ error: rejected }), 40_000);
  });
});
