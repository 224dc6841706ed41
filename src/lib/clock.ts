// The only place that reads time. Everything else is handed a Clock, so that tests move time instead of waiting.

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Wall clock, epoch milliseconds. May jump. */
  now(): number;
  /** Milliseconds from an arbitrary start; never goes back. */
  monotonic(): number;
  /** Runs `callback` once after `delayMs`. Never keeps the process alive. Delays above 24 days are clamped. */
  setTimer(callback: () => void, delayMs: number): Timer;
}

// setTimeout overflows above 2^31−1 ms and would fire at once.
const MAX_DELAY_MS = 2_147_483_647;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimer(callback, delayMs) {
    const handle = setTimeout(callback, Math.min(Math.max(0, delayMs), MAX_DELAY_MS));
    handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
};
