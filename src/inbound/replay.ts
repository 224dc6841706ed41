// What works once: `jti` of DPoP proofs, nonces of signatures. In memory here; a store that sidecars share can take its
// place behind the same interface.
import type { Clock } from '../lib/clock.ts';

export interface ReplayMemory {
  /** Whether this is the first time, and from now on it is not, for `forMs` at least. */
  first(what: string, forMs: number): boolean | Promise<boolean>;
}

/** Remembered at once. When it is full, nothing new is believed: forgetting would let a replay through. */
const MAX_REMEMBERED = 200_000;

export function createReplayMemory(clock: Clock): ReplayMemory {
  // Two generations: what is in neither was never seen or its time is over. `forMs` differs little between callers.
  let current = new Map<string, number>();
  let previous = new Map<string, number>();
  let turnAt = 0;

  return {
    first(what, forMs) {
      const now = clock.monotonic();
      if (now >= turnAt) {
        previous = new Map([...previous, ...current].filter(([, until]) => until >= now));
        current = new Map();
        turnAt = now + 10_000;
      }
      const until = current.get(what) ?? previous.get(what);
      if (until !== undefined && until >= now) return false;
      if (current.size + previous.size >= MAX_REMEMBERED) return false;
      current.set(what, now + forMs);
      return true;
    },
  };
}
