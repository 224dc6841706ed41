// What happened in each of the last sixty minutes, by name: a ring of one slot a minute. Bounded, whatever goes on.
import type { Clock } from '../../lib/clock.ts';

const MINUTES = 60;
const MINUTE_MS = 60_000;

/** Of one minute; minutes in which nothing happened are left out. */
export type MinuteReport = Readonly<Record<string, number>> & { readonly minutesAgo: number };

export interface LastHour {
  /** One more of `what` in this minute. */
  count(what: string): void;
  /** `what` is at `level` from now on; a minute tells the highest that it saw. 0 = nothing to tell. */
  hold(what: string, level: number): void;
  /** The oldest first. */
  report(): readonly MinuteReport[];
}

export function createLastHour(clock: Clock): LastHour {
  const slots: Record<string, number>[] = [];
  const held = new Map<string, number>();
  const minuteNow = (): number => Math.floor(clock.monotonic() / MINUTE_MS);
  let newest = minuteNow();

  /** The slot of this minute; those that passed meanwhile begin with what was held. */
  function current(): Record<string, number> {
    const minute = minuteNow();
    newest = Math.max(newest, minute - MINUTES);
    while (newest < minute) slots[++newest % MINUTES] = Object.fromEntries(held);
    const slot = slots[newest % MINUTES] ?? {};
    slots[newest % MINUTES] = slot;
    return slot;
  }

  return {
    count(what) {
      const slot = current();
      slot[what] = (slot[what] ?? 0) + 1;
    },
    hold(what, level) {
      const slot = current();
      if (level > 0) held.set(what, level);
      else held.delete(what);
      if (level > (slot[what] ?? 0)) slot[what] = level;
    },
    report() {
      current();
      const reports: MinuteReport[] = [];
      for (let minutesAgo = MINUTES - 1; minutesAgo >= 0; minutesAgo--) {
        const slot = slots[(newest - minutesAgo + MINUTES) % MINUTES];
        if (slot !== undefined && Object.keys(slot).length > 0) reports.push({ minutesAgo, ...slot });
      }
      return reports;
    },
  };
}
