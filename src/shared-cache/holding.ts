// What this process holds of an entry: since which write, and for how long it goes on with it.
import type { IssuedToken, IssueRequest, TokenSource } from '../credential/credential.ts';
import type { Clock } from '../lib/clock.ts';
import { type Entry, issuedOf } from './entry.ts';

/** Renewals are due for all at once; they come over this share of the life, so the first is alone. */
const SPREAD_SHARE = 0.05;
const SPREAD_MS = 15_000;
/** Less is left: at once. Enough for a slow provider and a second try of it. */
export const PUT_OFF_LEFT_MS = 6_000;
const PUT_OFF_SHARE = 0.6;

export interface Holding {
  /** Fence of the entry that the store has now. 0 = none, and for single users. */
  readonly fence: number;
  /** undefined = it ended while we waited. `refreshAfterMs`: default by the entry. */
  take(entry: Entry, leftMs: number, refreshAfterMs?: number): IssuedToken | undefined;
  /** The store was given this. */
  gave(issued: IssuedToken): void;
  /**
   * Redis is away and half a life is left: the whole fleet shares this token and would ask the provider in the same
   * second. Each goes on with it for a part of what is left, once. undefined = not now.
   */
  putOff(request: IssueRequest): IssuedToken | undefined;
  /** Redis is there. */
  found(): void;
}

export function createHolding(
  { perSubject }: Pick<TokenSource, 'perSubject'>,
  clock: Clock,
  random: () => number,
): Holding {
  let fence = 0;
  let current: { readonly issued: IssuedToken; readonly at: number } | undefined;
  let wasPutOff = false;

  return {
    get fence() {
      return fence;
    },
    take(entry, leftMs, refreshAfterMs) {
      if (!perSubject) fence = entry.fence;
      const lifetimeMs = leftMs + entry.marginMs;
      const spread = random() * Math.min(SPREAD_MS, lifetimeMs * SPREAD_SHARE);
      const after = refreshAfterMs ?? Math.max(0, leftMs - entry.refreshAtLeftMs) + spread;
      return issuedOf(entry, leftMs, clock.now(), after);
    },
    gave(issued) {
      if (!perSubject) current = { issued, at: clock.monotonic() };
    },
    putOff({ leftMs }) {
      if (current === undefined || wasPutOff) return undefined;
      if (leftMs === undefined || leftMs < PUT_OFF_LEFT_MS) return undefined;
      const { issued, at } = current;
      if (issued.lifetimeMs === undefined) return undefined;
      wasPutOff = true;
      const lifetimeMs = issued.lifetimeMs - (clock.monotonic() - at);
      return { ...issued, lifetimeMs, refreshAfterMs: random() * leftMs * PUT_OFF_SHARE };
    },
    found() {
      wasPutOff = false;
    },
  };
}
