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
  /** A request that certainly carried the current credential was refused. Whether that is for good by now: for 30 s. */
  counted(requestKey: string): boolean;
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
  /** Monotonic, ms; undefined = not refused for good. */
  let forGoodSince: number | undefined;
  let inARow = 0;
  let publishedAt = clock.monotonic();
  let currentIsForced = false;
  const keys = new Set<string>();

  return {
    counted(requestKey) {
      const now = clock.monotonic();
      const soon = now - publishedAt <= REFUSED_AT_ONCE_MS;
      if (soon && currentIsForced && keys.size < DIFFERENT_REQUESTS) {
        keys.add(requestKey);
        if (keys.size === DIFFERENT_REQUESTS) inARow++;
      }
      if (inARow >= IN_A_ROW) forGoodSince ??= now;
      // What the upstream lacked may have come, as the key set of a provider: the next one may be good, another refusal ends it.
      if (forGoodSince !== undefined && now - forGoodSince >= REPEAT_EVERY_MS) {
        forGoodSince = undefined;
        inARow = IN_A_ROW - 1;
      }
      return forGoodSince !== undefined;
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
        forGoodSince = undefined;
        inARow = 0;
      }
    },
    reset() {
      forGoodSince = undefined;
      inARow = 0;
    },
  };
}
