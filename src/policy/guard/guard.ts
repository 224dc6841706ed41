// Whether a version of a policy does harm: the rate of its requests that fail, beside that of the share which it is not yet
// in force for. Pure: totals and time are handed in. Docs: docs/rollout.md.
import type { GuardConfig } from '../../config/config.ts';
import { createRefusedPaths } from './refused-paths.ts';

/** Requests of one policy since some start; they only grow. */
export interface Totals {
  /** For which the policy is in force: with its credential, or without one for want of it. */
  readonly enforced: number;
  /** Of these, for want of a credential. */
  readonly missing: number;
  /** Of these, answered 401 by the upstream. */
  readonly refused: number;
  /** Of the share for which it is not yet in force. */
  readonly withheld: number;
  /** Of these, answered 401 by the upstream. */
  readonly withheldRefused: number;
}

/** What an alarm was judged by, of a hundred. */
export interface Rates {
  readonly enforced: number;
  /** undefined: too few requests to compare with. */
  readonly withheld: number | undefined;
  readonly requests: number;
}

export interface Guard {
  /** Monotonic ms. */
  readonly since: number;
  /** The upstream refused a request with the credential. `path` may carry a query, which is not read. */
  refusedOn(path: string): void;
  /** Once a second. An alarm lasts while the rate does. */
  look(totals: Totals, now: number): Rates | undefined;
  /** Whether it ran for `goodAfterMs`, over enough requests, and without alarm all the while. */
  isGood(now: number): boolean;
}

/** What happens within less is an accident. */
const LEAST_MS = 3_000;
/** What is older tells nothing of now. */
const MOST_MS = 300_000;
/** What says that it still is so: a credential that was revoked and is renewed fails for a moment only. */
const STILL_MS = 900;
/** Fewer of a share, or of the last second, tell nothing. */
const FEW = 10;
/** How often in a row the rate is seen before it is an alarm. */
const LOOKS = 3;
/** From here on one path alone is enough: most of what the app does fails. */
const MOST_FAIL = 0.5;

export function createGuard(
  { percent, requests, goodAfterMs }: GuardConfig,
  start: Totals,
  since: number,
): Guard {
  const paths = createRefusedPaths();
  let samples = [{ at: since, totals: start }];
  let judged = false;
  let inARow = 0;
  let alarmedAt = since;

  /** Of the shortest time up to now that has enough requests; undefined = there is none. */
  function recently(totals: Totals, now: number, leastMs: number, least: number): Totals | undefined {
    for (let i = samples.length - 1; i >= 0; i--) {
      const { at, totals: then } = samples[i]!;
      if (now - at >= leastMs && totals.enforced - then.enforced >= least) return difference(totals, then);
    }
    return undefined;
  }

  function over(recent: Totals): Rates | undefined {
    const all = (recent.missing + recent.refused) / recent.enforced;
    // Who can make the app call one path that always answers 401 must not be able to call off a rollout by it.
    const refused = recent.refused * (all < MOST_FAIL ? 1 - paths.heaviest() : 1);
    const rate = Math.min(1, (recent.missing + refused) / recent.enforced);
    const compared = recent.withheld >= FEW;
    const withheld = compared ? Math.min(1, recent.withheldRefused / recent.withheld) : 0;
    if ((rate - withheld) * 100 <= percent) return undefined;
    return {
      enforced: rate * 100,
      withheld: compared ? withheld * 100 : undefined,
      requests: recent.enforced,
    };
  }

  return {
    since,
    refusedOn: (path) => paths.add(path),
    look(totals, now) {
      samples = samples.filter(({ at }) => now - at <= MOST_MS);
      const recent = recently(totals, now, LEAST_MS, requests);
      const still = recently(totals, now, STILL_MS, FEW);
      const rates = recent && still && over(still) && over(recent);
      judged ||= recent !== undefined;
      samples.push({ at: now, totals });
      inARow = rates === undefined ? 0 : inARow + 1;
      if (inARow < LOOKS) return undefined;
      alarmedAt = now;
      return rates;
    },
    isGood: (now) => judged && inARow === 0 && now - alarmedAt >= goodAfterMs,
  };
}

function difference(a: Totals, b: Totals): Totals {
  return {
    enforced: a.enforced - b.enforced,
    missing: a.missing - b.missing,
    refused: a.refused - b.refused,
    withheld: a.withheld - b.withheld,
    withheldRefused: a.withheldRefused - b.withheldRefused,
  };
}
