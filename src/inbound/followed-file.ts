// A file whose content decides who may call: read anew within a quarter of a second, so that what an operator takes away
// is gone within one. A version that is not usable changes nothing.
import { readFile, stat } from 'node:fs/promises';
import type { Clock, Timer } from '../lib/clock.ts';
import { fileFault } from '../lib/file-fault.ts';
import type { Observer } from '../telemetry/observer.ts';

const EVERY_MS = 250;
const MAX_BYTES = 32 << 20;

export interface FollowedFile {
  start(): void;
  stop(): void;
  /** Milliseconds since it was last known to be read well; Infinity = never. */
  ageMs(): number;
}

export interface FollowedFileOptions {
  readonly path: string;
  /** For logs and metrics. */
  readonly name: string;
  /** When it was last read well, monotonic milliseconds, where that outlives this reader. */
  readonly good?: { at: number };
  /** Takes the content over and returns its number of entries. Throws with a message that quotes no secret. */
  readonly take: (text: string) => number;
  readonly clock: Clock;
  readonly observer: Observer;
}

export function createFollowedFile(options: FollowedFileOptions): FollowedFile {
  const { path, name, take, clock, observer, good = { at: Number.NEGATIVE_INFINITY } } = options;
  let timer: Timer | undefined;
  let stopped = false;
  let seen = '';
  let usable = false;

  async function look(): Promise<void> {
    try {
      // Before the content: what is written between the two is seen as a change next time.
      const s = await stat(path, { bigint: true });
      const now = `${s.dev}:${s.ino}:${s.size}:${s.mtimeNs}:${s.ctimeNs}`;
      if (now !== seen) {
        seen = now;
        usable = false;
        // A pipe would hold us, and a thread, until somebody writes to it.
        if (!s.isFile()) throw new Error('it is no file');
        if (s.size > BigInt(MAX_BYTES)) throw new Error(`larger than ${MAX_BYTES} bytes`);
        const entries = take(await readFile(path, 'utf8'));
        usable = true;
        observer.inputLoaded(name, entries);
      }
      if (usable) {
        good.at = clock.monotonic();
        observer.inputCurrent(name);
      }
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // Away now, so whatever comes back has to be read.
      if (code !== undefined) seen = '';
      observer.inputRefused(
        name,
        code === undefined ? (error as Error).message : `cannot be read: ${fileFault(error)}`,
      );
    }
    if (!stopped) timer = clock.setTimer(() => void look(), EVERY_MS);
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
