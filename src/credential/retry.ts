// When to try again after a failure, pure.
import { fullJitterMs } from '../lib/backoff.ts';
import type { CredentialError } from '../lib/errors.ts';
import { urgentMs } from './lifetime.ts';
import { BACKOFF, honouredMs, PROBE_MS, REJECTED_MS } from './numbers.ts';

export interface Failed {
  /** Why; undefined = the credential ended before anything failed. */
  readonly error: CredentialError | undefined;
  /** In a row before this one. */
  readonly failures: number;
  /** Of the credential that still serves, ms; at most 0 = none does. */
  readonly leftMs: number;
  /** Of its whole life, ms. */
  readonly lifetimeMs: number;
  /** Somebody wants one now. */
  readonly isAsked: boolean;
}

/** Milliseconds. `random` returns [0, 1). */
export function retryDelayMs(
  { error, failures, leftMs, lifetimeMs, isAsked }: Failed,
  random: () => number,
): number {
  if (error?.retryAfterMs !== undefined) return Math.min(error.retryAfterMs, honouredMs(leftMs));
  if (error?.retryable === false) return REJECTED_MS * (1 + random() / 3);
  const backoff = fullJitterMs(failures, BACKOFF, random);
  if (leftMs <= 0) return isAsked ? PROBE_MS : Math.max(PROBE_MS, backoff);
  const delay = Math.max(BACKOFF.baseMs / 2, backoff);
  // The closer the end, the shorter the wait: an urgent one is never put off by more than a fifth of what is left.
  return leftMs <= urgentMs(lifetimeMs) ? Math.min(delay, Math.max(PROBE_MS, leftMs / 5)) : delay;
}
