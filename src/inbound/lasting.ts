// What outlives a configuration: a reload must neither make old proofs new nor start the count of time again.
import type { Clock } from '../lib/clock.ts';
import { createReplayMemory, type ReplayMemory } from './replay.ts';
import { createTokenTime, type TokenTime } from './token-time.ts';

export interface Lasting {
  readonly time: TokenTime;
  readonly replay: ReplayMemory;
}

export function createLasting(clock: Clock): Lasting {
  return { time: createTokenTime(clock), replay: createReplayMemory(clock) };
}
