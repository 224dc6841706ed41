// Limits of renewals that refused requests ask for, of one credential. Without them an upstream that always says 401 would
// turn every request into a token call.
import type { Clock } from '../lib/clock.ts';
import { createRate, type Rate } from './rate.ts';

/** The first renewal in so long is bounded by the endpoint's limits only. */
export const FIRST_IN_MS = 60_000;
/** Repeats of one credential. */
export const REPEAT_BURST = 5;
export const REPEAT_EVERY_MS = 30_000;
/** Repeats of one source a minute: a share of its live credentials, and never fewer than this. */
export const OF_SOURCE = 1 / 5;
export const LEAST_OF_SOURCE = 5;
/** A new credential refused so soon was never good. */
const REFUSED_AT_ONCE_MS = 2_000;
const DIFFERENT_REQUESTS = 3;
const IN_A_ROW = 3;

export interface Refusals {
  /**
   * A request that certainly carried the current credential was refused. Whether that is for good by now.
   * `carriedForMs`: since Envoy uses it, which took it over some time after it was published; default: since then.
   */
  counted(requestKey: string, carriedForMs?: number): boolean;
  /** Whether a renewal may start now; if so it is charged. */
  allowed(): boolean;
  /** A new credential is out; `forced` = because of a refusal. */
  published(forced: boolean): void;
  /** A changed secret file gives a fresh chance. */
  reset(): void;
}

/** `perSource` is shared by all credentials of the source, `endpoint` by all sources of one provider. */
export function createRefusals(clock: Clock, perSource: Rate, endpoint: Rate): Refusals {
  const repeats = createRate(REPEAT_BURST, REPEAT_EVERY_MS, clock);
  let lastForcedAt = Number.NEGATIVE_INFINITY;
  let forGood = false;
  let inARow = 0;
  let publishedAt = clock.monotonic();
  let currentIsForced = false;
  const keys = new Set<string>();

  return {
    counted(requestKey, carriedForMs = Number.POSITIVE_INFINITY) {
      const soon = Math.min(carriedForMs, clock.monotonic() - publishedAt) <= REFUSED_AT_ONCE_MS;
      if (soon && currentIsForced && keys.size < DIFFERENT_REQUESTS) {
        keys.add(requestKey);
        if (keys.size === DIFFERENT_REQUESTS) inARow++;
      }
      if (inARow >= IN_A_ROW) forGood = true;
      return forGood;
    },
    allowed() {
      const now = clock.monotonic();
      const isFirst = now - lastForcedAt >= FIRST_IN_MS;
      if (!isFirst && !(repeats.take() && perSource.take())) return false;
      if (!endpoint.take()) return false;
      lastForcedAt = now;
      return true;
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
