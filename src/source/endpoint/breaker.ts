// The circuit breaker of one token endpoint: after failures in a row only probes go through, one at a time and seldom, and
// whatever comes meanwhile shares the probe's outcome. Pure but for the clock; it calls nobody.

import { BACKOFF, FAILURES_TO_OPEN, honouredMs, PROBE_MS } from '../../credential/numbers.ts';
import { fullJitterMs } from '../../lib/backoff.ts';
import type { Clock } from '../../lib/clock.ts';

/** half_open: a probe is under way. */
export type BreakerState = 'closed' | 'open' | 'half_open';

/** Who wants to call. */
export interface Caller {
  /** Source and subject. */
  readonly who: string;
  /** Somebody waits for it. */
  readonly waiting: boolean;
  /** What is left of the credential that it renews, ms; undefined = there is none. */
  readonly leftMs: number | undefined;
}

export type Admission =
  | { readonly may: 'call' }
  /** Alone; its end must be told. */
  | { readonly may: 'probe' }
  /** A probe is under way: ask again when it is over. */
  | { readonly may: 'join'; readonly over: Promise<void> }
  /** `inMs` = when it is worth to come again. */
  | { readonly may: 'not'; readonly why: 'breaker_open' | 'retry_after'; readonly inMs: number };

export interface Breaker {
  readonly state: BreakerState;
  admit(caller: Caller): Admission;
  /**
   * How an admitted call ended. `failed` = no answer, or 5xx, or 429: a refusal is an answer, the endpoint is there.
   * `abandoned` = given up by us, which says nothing of it.
   */
  ended(caller: Caller, as: 'call' | 'probe', outcome: Outcome): void;
}

export type Outcome =
  | { readonly kind: 'answered' | 'abandoned' }
  | { readonly kind: 'failed'; readonly retryAfterMs: number | undefined };

export interface BreakerDeps {
  readonly clock: Clock;
  readonly random: () => number;
  readonly changed: (state: BreakerState) => void;
}

export function createBreaker({ clock, random, changed }: BreakerDeps): Breaker {
  let state: BreakerState = 'closed';
  let failures = 0;
  let held: { readonly at: number; readonly forMs: number } | undefined;
  let probe: { readonly over: () => void; readonly done: Promise<void> } | undefined;
  let lastFailed = { who: '', at: Number.NEGATIVE_INFINITY };
  let backgroundFailures = 0;
  let backgroundMs = 0;
  /** Somebody else than who failed last was turned away since. */
  let othersCame = false;

  function become(next: BreakerState): void {
    if (state === next) return;
    state = next;
    changed(next);
  }

  /** Of Retry-After, for this caller; at most 0 = it may come. */
  function holdLeftMs({ leftMs = 0 }: Caller): number {
    if (held === undefined) return 0;
    const waited = clock.monotonic() - held.at;
    return Math.min(held.forMs, honouredMs(leftMs <= 0 ? 0 : leftMs + waited)) - waited;
  }

  /** Until the next probe of this kind. The closer a credential's end, the less its renewal is put off. */
  function pauseLeftMs({ waiting, leftMs }: Caller): number {
    let pause = backgroundMs;
    if (waiting) pause = PROBE_MS;
    else if (leftMs !== undefined) pause = Math.min(pause, Math.max(PROBE_MS, leftMs / 5));
    return lastFailed.at + pause - clock.monotonic();
  }

  return {
    get state() {
      return state;
    },
    admit(caller) {
      if (state === 'closed') return { may: 'call' };
      if (probe !== undefined) return { may: 'join', over: probe.done };
      const hold = holdLeftMs(caller);
      const inMs = Math.max(hold, pauseLeftMs(caller));
      if (inMs > 0) {
        if (caller.who !== lastFailed.who) othersCame = true;
        return { may: 'not', why: hold > 0 ? 'retry_after' : 'breaker_open', inMs };
      }
      // Whose calls always fail must not take every probe: once, those who were told to come now go first.
      if (othersCame && caller.who === lastFailed.who) {
        othersCame = false;
        return { may: 'not', why: 'breaker_open', inMs: PROBE_MS / 10 };
      }
      othersCame = false;
      const { promise, resolve } = Promise.withResolvers<void>();
      probe = { done: promise, over: resolve };
      become('half_open');
      return { may: 'probe' };
    },
    ended(caller, as, outcome) {
      // A call of before the breaker opened tells less than the probe that is sent now.
      if (as === 'call' && state !== 'closed') return;
      if (outcome.kind === 'answered') {
        failures = 0;
        backgroundFailures = 0;
        held = undefined;
        become('closed');
      } else if (outcome.kind === 'failed') {
        failures++;
        if (as === 'probe' && !caller.waiting) backgroundFailures++;
        const { retryAfterMs } = outcome;
        const now = clock.monotonic();
        held = retryAfterMs === undefined ? undefined : { at: now, forMs: retryAfterMs };
        lastFailed = { who: caller.who, at: now };
        backgroundMs = Math.max(BACKOFF.baseMs / 2, fullJitterMs(backgroundFailures, BACKOFF, random));
        if (as === 'probe' || held !== undefined || failures >= FAILURES_TO_OPEN) become('open');
      } else if (as === 'probe') {
        become('open');
      }
      if (as !== 'probe') return;
      const over = probe?.over;
      probe = undefined;
      over?.();
    },
  };
}
