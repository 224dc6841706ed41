// What decides who may call and lies elsewhere: looked at several times a second, so that what an operator takes away is gone
// within one. A version that is not usable changes nothing.
import type { Clock, Timer } from '../lib/clock.ts';
import type { Observer } from '../telemetry/observer.ts';

export interface Followed {
  start(): void;
  stop(): void;
  /** Milliseconds since it was last known to be read well; Infinity = never. */
  ageMs(): number;
}

export interface Reading {
  readonly version: string;
  /** undefined = this version is known. */
  readonly text: string | undefined;
}

export interface FollowedOptions {
  /** For logs and metrics. */
  readonly name: string;
  readonly everyMs: number;
  /** When it was last read well, monotonic milliseconds, where that outlives this reader. */
  readonly good?: { at: number };
  /** Rejects with a message that says why there is none. */
  readonly read: (known: string) => Promise<Reading>;
  /** Takes the content over and returns its number of entries. Throws with a message that quotes no secret. */
  readonly take: (text: string) => number;
  readonly clock: Clock;
  readonly observer: Observer;
}

export function createFollowed(options: FollowedOptions): Followed {
  const { name, everyMs, read, take, clock, observer, good = { at: Number.NEGATIVE_INFINITY } } = options;
  let timer: Timer | undefined;
  let stopped = false;
  let seen = '';
  let usable = false;

  async function look(): Promise<void> {
    try {
      const { version, text } = await read(seen);
      if (stopped) return;
      if (text !== undefined) {
        // Also of one that is not usable: it must not be carried here again and again.
        seen = version;
        usable = false;
        const entries = take(text);
        usable = true;
        observer.inputLoaded(name, entries);
      }
      if (usable) {
        good.at = clock.monotonic();
        observer.inputCurrent(name);
      }
    } catch (error) {
      observer.inputRefused(name, (error as Error).message);
    }
    if (!stopped) timer = clock.setTimer(() => void look(), everyMs);
  }

  return {
    start: () => void look(),
    stop() {
      stopped = true;
      timer?.cancel();
    },
    ageMs: () => clock.monotonic() - good.at,
  };
}
