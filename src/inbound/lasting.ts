// What outlives a configuration: a reload must neither make old proofs new, nor start the count of time
// again, nor fill the buckets of limits.
import type { Clock } from '../lib/clock.ts';
import { Kept } from './kept.ts';
import { createReplayMemory, type ReplayMemory } from './replay.ts';
import { createTokenTime, type TokenTime } from './token-time.ts';

export interface Lasting {
  readonly time: TokenTime;
  readonly replay: ReplayMemory;
  /** Buckets of limits and the list of revocations. */
  readonly kept: Kept;
}

/** `shared`: whether something is seen for the first time by the whole fleet. */
export function createLasting(
  clock: Clock,
  shared?: { first(what: string, forMs: number): Promise<boolean> },
): Lasting {
  const own = createReplayMemory(clock);
  const replay: ReplayMemory =
    shared === undefined
      ? own
      : { first: async (mark) => own.first(mark) && (await shared.first(mark.what, mark.forMs)) };
  return { time: createTokenTime(clock), replay, kept: new Kept() };
}
