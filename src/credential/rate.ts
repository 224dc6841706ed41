// A token bucket on the monotonic clock.
import type { Clock } from '../lib/clock.ts';

export interface Rate {
  /** Takes one if there is one. */
  take(): boolean;
}

/** Starts full with `burst`; one more every `everyMs`. */
export function createRate(burst: number, everyMs: number, clock: Clock): Rate {
  let left = burst;
  let at = clock.monotonic();
  return {
    take() {
      const now = clock.monotonic();
      left = Math.min(burst, left + (now - at) / everyMs);
      at = now;
      if (left < 1) return false;
      left -= 1;
      return true;
    },
  };
}

/** `perMinute` at most at once and a minute. Read at each take: it may be a share of what grows. */
export function createMinuteRate(perMinute: () => number, clock: Clock): Rate {
  let taken = 0;
  let at = clock.monotonic();
  return {
    take() {
      const now = clock.monotonic();
      const most = perMinute();
      taken = Math.max(0, taken - ((now - at) * most) / 60_000);
      at = now;
      if (taken + 1 > most) return false;
      taken += 1;
      return true;
    },
  };
}
