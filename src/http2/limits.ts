// What one connection may ask of us. Every breach has a name, by which it is counted.
import type { Clock } from '../lib/clock.ts';

export interface Limits {
  /** Open streams of a connection; one more is refused with REFUSED_STREAM. Default 1000. */
  readonly maxStreams: number;
  /** Of a header list, decoded, by the count of RFC 9113, section 10.5.1; and of its block on the wire. Default 16 KiB. */
  readonly maxHeaderListBytes: number;
  /** Frames of one header block. Default 32. */
  readonly maxHeaderFrames: number;
  /** Our window for each stream: what a peer may send before it is read. Default 512 KiB. */
  readonly streamWindowBytes: number;
  /** Our window for the connection. Default 8 MiB. */
  readonly connectionWindowBytes: number;
  /** Answers that the peer does not read, in the socket or waiting for its windows. Default 16 MiB. */
  readonly maxOutputBytes: number;
  /** Resets of streams that wait for their answer, in 10 s. Default 10,000. */
  readonly maxResets: number;
  /** Streams refused, and frames for streams that are closed, in 10 s. Default 10,000. */
  readonly maxRefused: number;
  /** PING and PRIORITY frames, in 10 s. Default 10,000: Go's clients measure the way by a PING for each read. */
  readonly maxPings: number;
  /** SETTINGS frames, in 10 s. Default 1,000. */
  readonly maxSettings: number;
  /** Frames that carry nothing: DATA and CONTINUATION without bytes, in 10 s. Default 1,000. */
  readonly maxEmptyFrames: number;
  /** Until preface and first SETTINGS are here, milliseconds. Default 10 s. */
  readonly prefaceTimeoutMs: number;
  /** Without a byte from the peer a PING asks whether it is there, milliseconds. Default 30 s. */
  readonly keepaliveMs: number;
  /** For the answer to that PING, milliseconds. Default 15 s. */
  readonly keepaliveTimeoutMs: number;
  /** Without an open stream, milliseconds, up to twice that; then a graceful end. Default 1 h, as Envoy's own. */
  readonly idleTimeoutMs: number;
  /** Age at which a connection ends gracefully, milliseconds, each time 10 % more or less. Default: none. */
  readonly maxAgeMs: number;
}

export const DEFAULT_LIMITS: Limits = {
  maxStreams: 1_000,
  maxHeaderListBytes: 16 << 10,
  maxHeaderFrames: 32,
  streamWindowBytes: 512 << 10,
  connectionWindowBytes: 8 << 20,
  maxOutputBytes: 16 << 20,
  maxResets: 10_000,
  maxRefused: 10_000,
  maxPings: 10_000,
  maxSettings: 1_000,
  maxEmptyFrames: 1_000,
  prefaceTimeoutMs: 10_000,
  keepaliveMs: 30_000,
  keepaliveTimeoutMs: 15_000,
  idleTimeoutMs: 3_600_000,
  maxAgeMs: Number.POSITIVE_INFINITY,
};

const WINDOW_MS = 10_000;

/** Counts events; reads the clock only once in `max` events or less often. */
export class RateLimit {
  readonly #max: number;
  readonly #clock: Clock;
  #count = 0;
  #since: number;

  constructor(max: number, clock: Clock) {
    this.#max = max;
    this.#clock = clock;
    this.#since = clock.monotonic();
  }

  /** False: more than `max` within 10 s. */
  take(): boolean {
    if (++this.#count <= this.#max) return true;
    const now = this.#clock.monotonic();
    if (now - this.#since < WINDOW_MS) return false;
    this.#since = now;
    this.#count = 1;
    return true;
  }
}
