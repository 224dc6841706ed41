// The time that tokens are held to. Wall clock and monotonic clock both count: a clock that is set back, by an operator
// or by NTP, makes no old token valid again.
import type { Clock } from '../lib/clock.ts';

export interface TokenTime {
  /** Epoch milliseconds: the later of the wall clock and the start of this process plus the time it has run. */
  now(): number;
}

export function createTokenTime(clock: Clock): TokenTime {
  const offset = clock.now() - clock.monotonic();
  return { now: () => Math.max(clock.now(), clock.monotonic() + offset) };
}
