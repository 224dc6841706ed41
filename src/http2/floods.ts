// What a peer may do, but not without end: each kind has its own count. CVE-2019-9512 to 9518, CVE-2023-44487.
import type { Clock } from '../lib/clock.ts';
import { ErrorCode, Http2Error } from './errors.ts';
import { type Limits, RateLimit } from './limits.ts';

export class Floods {
  readonly #resets: RateLimit;
  readonly #errors: RateLimit;
  readonly #pings: RateLimit;
  readonly #settings: RateLimit;
  readonly #empty: RateLimit;

  constructor(limits: Limits, clock: Clock) {
    this.#resets = new RateLimit(limits.maxResets, clock);
    this.#errors = new RateLimit(limits.maxRefused, clock);
    this.#pings = new RateLimit(limits.maxPings, clock);
    this.#settings = new RateLimit(limits.maxSettings, clock);
    this.#empty = new RateLimit(limits.maxEmptyFrames, clock);
  }

  // Each throws Http2Error ENHANCE_YOUR_CALM above its limit.

  /** The peer reset a stream that waited for its answer. */
  reset(): void {
    take(this.#resets, 'rapid_reset');
  }

  /** A stream was refused or reset for an error. */
  streamError(): void {
    take(this.#errors, 'stream_errors');
  }

  /** PING or PRIORITY. */
  ping(): void {
    take(this.#pings, 'ping_flood');
  }

  settings(): void {
    take(this.#settings, 'settings_flood');
  }

  /** A frame that carries nothing. */
  empty(): void {
    take(this.#empty, 'empty_frames');
  }
}

function take(limit: RateLimit, fault: string): void {
  if (!limit.take()) throw new Http2Error(ErrorCode.ENHANCE_YOUR_CALM, 'too many of one kind', fault);
}
