// Full jitter (a uniform draw from zero to the cap of this attempt): spreads retries of many sidecars best.

export interface BackoffOptions {
  /** Cap of the first attempt, milliseconds. */
  readonly baseMs: number;
  /** Cap of every attempt, milliseconds. */
  readonly maxMs: number;
}

/** Delay in milliseconds before attempt `attempt` (0 = first retry). `random` returns [0, 1). */
export function fullJitterMs(attempt: number, options: BackoffOptions, random: () => number): number {
  const cap = Math.min(options.maxMs, options.baseMs * 2 ** Math.min(attempt, 30));
  return random() * cap;
}
