// "An upstream refused what was before this fence": a stream in Redis, read from the last seen id, so that nothing is
// missed over a lost connection; the channel only wakes. A message is a hint: who has an older one looks for the newer.
import type { Clock, Timer } from '../lib/clock.ts';
import { BACKGROUND_MS, type Redis } from './redis.ts';
import { ANNOUNCE, HEARD, NEWEST } from './scripts.ts';

/** Wakes may be lost. */
const LOOK_EVERY_MS = 30_000;
const RETRY_MS = 250;

export interface Invalidations {
  /** The entry of this name was renewed because an upstream refused the one before. */
  announce(entry: string, fence: number): Promise<void>;
  /** Calls `heard` for each message. Returns the way to stop. */
  listen(heard: (entry: string, fence: number) => void): () => void;
  /** Something may be there to read. */
  woken(): void;
  close(): void;
}

export function createInvalidations(
  redis: () => Redis,
  stream: string,
  channel: string,
  clock: Clock,
): Invalidations {
  const listeners = new Set<(entry: string, fence: number) => void>();
  let last: string | undefined;
  let reading = false;
  let again = false;
  let timer: Timer | undefined;
  let closed = false;

  async function read(): Promise<boolean> {
    if (last === undefined) {
      // What was refused before our start concerns nothing that we have.
      const newest = await redis().run(NEWEST, [stream], [], BACKGROUND_MS);
      if (typeof newest === 'string') last = newest;
      return last !== undefined;
    }
    const heard = await redis().run(HEARD, [stream], [last], BACKGROUND_MS);
    if (!Array.isArray(heard)) return false;
    for (const [id, entry, fence] of heard as [string, string, string][]) {
      last = id;
      for (const listener of listeners) listener(entry, Number(fence));
    }
    return true;
  }

  async function readAll(): Promise<void> {
    again = true;
    if (reading || closed) return;
    reading = true;
    timer?.cancel();
    let done = true;
    while (again && !closed) {
      again = false;
      done = await read();
    }
    reading = false;
    if (!closed) timer = clock.setTimer(() => void readAll(), done ? LOOK_EVERY_MS : RETRY_MS);
  }

  return {
    async announce(entry, fence) {
      await redis().run(ANNOUNCE, [stream], [entry, String(fence), channel], BACKGROUND_MS);
    },
    listen(heard) {
      listeners.add(heard);
      return () => void listeners.delete(heard);
    },
    woken: () => void readAll(),
    close() {
      closed = true;
      timer?.cancel();
    },
  };
}
