// Lets the first of equal events through, then one a minute with the number left out: an outage is not a flood of lines.
import type { Clock } from '../lib/clock.ts';

const WINDOW_MS = 60_000;
// Keys come from configuration and closed sets; the bound only guards against a mistake.
const MAX_KEYS = 10_000;

export interface RepeatLimit {
  /** undefined = stay silent; else how many equal ones were left out since the last. */
  admit(key: string): number | undefined;
}

export function createRepeatLimit(clock: Clock): RepeatLimit {
  const seen = new Map<string, { since: number; omitted: number }>();
  return {
    admit(key) {
      const now = clock.monotonic();
      const entry = seen.get(key);
      if (entry && now - entry.since < WINDOW_MS) {
        entry.omitted++;
        return undefined;
      }
      if (seen.size >= MAX_KEYS) seen.clear();
      seen.set(key, { since: now, omitted: 0 });
      return entry?.omitted ?? 0;
    },
  };
}
