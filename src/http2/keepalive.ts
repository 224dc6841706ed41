// The clocks of one connection: preface, silence, idleness, age.
import type { Clock, Timer } from '../lib/clock.ts';
import type { Limits } from './limits.ts';

export interface Watched {
  /** Bytes came since this was asked the last time. */
  heard(): boolean;
  /** A stream is open. */
  busy(): boolean;
  /** Changes with every new stream. */
  streams(): number;
  ping(): void;
  /** Ends gracefully. */
  drain(): void;
  /** Ends now; `fault` is counted. */
  expire(fault: 'preface_timeout' | 'keepalive_timeout'): void;
}

/** After a stop of the whole process its timers run before its sockets are read: a second look comes after the reading. */
const SECOND_LOOK_MS = 100;
const AGE_JITTER = 0.1;

export class Keepalive {
  readonly #watched: Watched;
  readonly #limits: Limits;
  readonly #clock: Clock;
  #timer: Timer;
  #idleTimer: Timer | undefined;
  readonly #ageTimer: Timer | undefined;

  constructor(watched: Watched, limits: Limits, clock: Clock, random: () => number) {
    this.#watched = watched;
    this.#limits = limits;
    this.#clock = clock;
    this.#timer = clock.setTimer(() => this.#prefaceOverdue(), limits.prefaceTimeoutMs);
    this.#ageTimer = Number.isFinite(limits.maxAgeMs)
      ? clock.setTimer(() => watched.drain(), limits.maxAgeMs * (1 - AGE_JITTER + 2 * AGE_JITTER * random()))
      : undefined;
  }

  /** Preface and first SETTINGS are here. */
  opened(): void {
    this.#listen();
    this.#awaitStreams();
  }

  stop(): void {
    this.#timer.cancel();
    this.#idleTimer?.cancel();
    this.#ageTimer?.cancel();
  }

  #wait(then: () => void, ms: number): void {
    this.#timer.cancel();
    this.#timer = this.#clock.setTimer(then, ms);
  }

  #prefaceOverdue(): void {
    this.#wait(() => this.#watched.expire('preface_timeout'), SECOND_LOOK_MS);
  }

  #listen(): void {
    this.#watched.heard();
    this.#wait(() => this.#askIfSilent(), this.#limits.keepaliveMs);
  }

  #askIfSilent(): void {
    if (this.#watched.heard()) return this.#listen();
    this.#watched.ping();
    this.#wait(() => this.#answerOverdue(), this.#limits.keepaliveTimeoutMs);
  }

  #answerOverdue(): void {
    this.#wait(() => {
      if (this.#watched.heard()) this.#listen();
      else this.#watched.expire('keepalive_timeout');
    }, SECOND_LOOK_MS);
  }

  /** Ends after one to two times the limit: nothing is noted for each stream. */
  #awaitStreams(): void {
    const before = this.#watched.streams();
    this.#idleTimer = this.#clock.setTimer(() => {
      if (this.#watched.busy() || this.#watched.streams() !== before) this.#awaitStreams();
      else this.#watched.drain();
    }, this.#limits.idleTimeoutMs);
  }
}
