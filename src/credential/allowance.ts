// How many calls of one kind an endpoint may get: as configured, or ten times what the lifetimes of its credentials ask
// for. Each credential asks for one renewal in its life, so each one that comes pays for ten calls; that follows a provider
// which changes its lifetimes at the first answer.
import type { Clock } from '../lib/clock.ts';
import { CAP_FACTOR, LEAST_CAP_PER_HOUR } from './numbers.ts';

const HOUR_MS = 3_600_000;
const SLOTS = 6;
const SLOT_MS = HOUR_MS / SLOTS;

export interface Allowance {
  /** A credential came, and not because an upstream refused the last one: a storm must not pay for itself. */
  came(): void;
  /** Takes one call if there is one. */
  take(): boolean;
  /** What the last hour asked for, or as configured. */
  readonly perHour: number;
}

/** Starts with ten minutes' worth. `perHour` undefined = by the lifetimes, and never under 60 an hour. */
export function createAllowance(perHour: number | undefined, clock: Clock): Allowance {
  const refillPerHour = perHour ?? LEAST_CAP_PER_HOUR;
  // Credentials of the last hour in slots of ten minutes, the present one last.
  const slots = new Array<number>(SLOTS).fill(0);
  let slotEnd = clock.monotonic() + SLOT_MS;
  let left = Math.max(1, refillPerHour / SLOTS);
  let at = clock.monotonic();

  function asked(): number {
    for (const now = clock.monotonic(); now >= slotEnd; slotEnd += SLOT_MS) {
      slots.shift();
      slots.push(0);
    }
    return CAP_FACTOR * slots.reduce((sum, count) => sum + count, 0);
  }

  function add(calls: number): void {
    const now = clock.monotonic();
    const full = Math.max(1, refillPerHour / SLOTS, perHour === undefined ? asked() : 0);
    left = Math.min(full, left + calls + ((now - at) * refillPerHour) / HOUR_MS);
    at = now;
  }

  return {
    came() {
      if (perHour !== undefined) return;
      asked();
      slots[SLOTS - 1]!++;
      add(CAP_FACTOR);
    },
    take() {
      add(0);
      if (left < 1) return false;
      left -= 1;
      return true;
    },
    get perHour() {
      return perHour ?? Math.max(LEAST_CAP_PER_HOUR, asked());
    },
  };
}
