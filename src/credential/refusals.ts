// Limits of renewals that refused requests ask for, of one source. Without them an upstream that always says 401 would
// turn every request into a token call.
import type { Clock } from '../lib/clock.ts';
import type { Credential } from './credential.ts';
import { createRate, type Rate } from './rate.ts';

const FIRST_IN_MS = 60_000;
const REPEAT_BURST = 5;
const REPEAT_EVERY_MS = 30_000;
/** A new credential refused so soon was never good. */
const REFUSED_AT_ONCE_MS = 2_000;
const DIFFERENT_REQUESTS = 3;
const IN_A_ROW = 3;

export type RefusalOutcome = 'allowed' | 'limited' | 'refused_for_good';

export interface Refusals {
  /** A request that certainly carried `current` was refused. */
  refused(current: Credential, requestKey: string): RefusalOutcome;
  /** A new credential is out; `forced` = because of a refusal. */
  published(forced: boolean): void;
  /** A changed secret file gives a fresh chance. */
  reset(): void;
}

/** `endpoint` is shared by all sources of one provider. */
export function createRefusals(clock: Clock, endpoint: Rate): Refusals {
  const repeats = createRate(REPEAT_BURST, REPEAT_EVERY_MS, clock);
  // A source without subjects has one live credential, so max(5, a fifth of its live ones) a minute is five.
  const perSource = createRate(5, 12_000, clock);
  let lastForcedAt = Number.NEGATIVE_INFINITY;
  let forGood = false;
  let inARow = 0;
  let publishedAt = clock.monotonic();
  let currentIsForced = false;
  const keys = new Set<string>();

  return {
    refused(_current, requestKey) {
      const now = clock.monotonic();
      if (now - publishedAt <= REFUSED_AT_ONCE_MS && currentIsForced && keys.size < DIFFERENT_REQUESTS) {
        keys.add(requestKey);
        if (keys.size === DIFFERENT_REQUESTS) inARow++;
      }
      if (inARow >= IN_A_ROW) forGood = true;
      if (forGood) return 'refused_for_good';
      if (now - lastForcedAt >= FIRST_IN_MS) {
        if (!endpoint.take()) return 'limited';
      } else if (!repeats.take() || !perSource.take() || !endpoint.take()) {
        return 'limited';
      }
      lastForcedAt = now;
      return 'allowed';
    },
    published(forced) {
      // One that lived longer than the window, or was not refused by three requests, ends the row.
      if (currentIsForced && keys.size < DIFFERENT_REQUESTS) inARow = 0;
      keys.clear();
      publishedAt = clock.monotonic();
      currentIsForced = forced;
      if (!forced) {
        forGood = false;
        inARow = 0;
      }
    },
    reset() {
      forGood = false;
      inARow = 0;
    },
  };
}
