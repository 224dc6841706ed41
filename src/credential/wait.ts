// One caller's wait for a fetch that others may wait for too. Its end never ends the fetch.
import type { Clock } from '../lib/clock.ts';
import { CredentialError } from '../lib/errors.ts';
import type { Credential } from './credential.ts';

/** Rejects with `known`, or with CredentialError credential_pending, after `timeoutMs` or when the caller goes away. */
export function waitFor(
  shared: Promise<Credential>,
  timeoutMs: number,
  signal: AbortSignal | undefined,
  clock: Clock,
  known?: CredentialError,
): Promise<Credential> {
  return new Promise((resolve, reject) => {
    const pending = () =>
      reject(
        known ??
          new CredentialError('credential_pending', 'no credential within the wait', { retryable: true }),
      );
    const timer = clock.setTimer(pending, timeoutMs);
    signal?.addEventListener('abort', pending, { once: true });
    shared.then(resolve, reject).finally(() => {
      timer.cancel();
      signal?.removeEventListener('abort', pending);
    });
  });
}
