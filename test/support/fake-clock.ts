// A clock that a test moves by hand. Timers run in the order of their time, each at its own moment.
import type { Clock, Timer } from '../../src/lib/clock.ts';

interface Entry {
  readonly at: number;
  readonly order: number;
  readonly callback: () => void;
}

export class FakeClock implements Clock {
  #wall: number;
  #mono = 1_000;
  #order = 0;
  #entries = new Set<Entry>();

  constructor(wallMs = Date.UTC(2026, 0, 1)) {
    this.#wall = wallMs;
  }

  now(): number {
    return this.#wall;
  }

  monotonic(): number {
    return this.#mono;
  }

  setTimer(callback: () => void, delayMs: number): Timer {
    const entry = { at: this.#mono + Math.max(0, delayMs), order: this.#order++, callback };
    this.#entries.add(entry);
    return { cancel: () => void this.#entries.delete(entry) };
  }

  /** Moves both clocks and runs what falls due, letting promises settle after each timer. */
  async advance(ms: number): Promise<void> {
    const end = this.#mono + ms;
    await settle();
    for (;;) {
      let next: Entry | undefined;
      for (const e of this.#entries) {
        if (e.at <= end && (!next || e.at < next.at || (e.at === next.at && e.order < next.order))) next = e;
      }
      if (!next) break;
      this.#entries.delete(next);
      this.#wall += next.at - this.#mono;
      this.#mono = next.at;
      next.callback();
      await settle();
    }
    this.#wall += end - this.#mono;
    this.#mono = end;
    await settle();
  }

  /** Sets the wall clock alone, as an operator or NTP would. */
  setWall(ms: number): void {
    this.#wall = ms;
  }

  get pendingTimers(): number {
    return this.#entries.size;
  }
}

/** Lets promise chains run to their end without waiting for time. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
  await new Promise<void>((resolve) => setImmediate(resolve));
}
