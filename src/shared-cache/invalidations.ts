// "An upstream refused what was before this fence": a stream in Redis, read from the last seen id, so that nothing is
// missed over a lost connection; the channel only wakes. A message is a hint: who has an older one looks for the newer.
import type { Clock, Timer } from '../lib/clock.ts';
import { BACKGROUND_MS, type Redis } from './redis.ts';
import { ANNOUNCE, HEARD } from './scripts.ts';

/** Wakes may be lost. */
const LOOK_EVERY_MS = 30_000;
const RETRY_MS = 250;
/** Between two reads, whoever wakes us how often. */
const SPACING_MS = 50;

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
  let last = '';
  let reading = false;
  let again = false;
  let readAt = Number.NEGATIVE_INFINITY;
  let timer: Timer | undefined;
  let closed = false;

  /** Whether there was an answer. What was refused before our start concerns nothing that we have. */
  async function read(): Promise<boolean> {
    const reply: unknown = await redis().run(HEARD, [stream], [last], BACKGROUND_MS);
    if (!Array.isArray(reply)) return false;
    const [id, heard] = reply as [unknown, unknown];
    if (typeof id !== 'string' || !Array.isArray(heard)) return false;
    last = id;
    for (const message of heard) {
      if (!Array.isArray(message)) continue;
      for (const listener of listeners) listener(String(message[0]), Number(message[1]));
    }
    return true;
  }

  async function readNow(): Promise<void> {
    reading = true;
    again = false;
    readAt = clock.monotonic();
    const done = await read();
    reading = false;
    plan(again ? SPACING_MS : done ? LOOK_EVERY_MS : RETRY_MS);
  }

  function plan(delayMs: number): void {
    timer?.cancel();
    if (!closed) timer = clock.setTimer(() => void readNow(), delayMs);
  }

  return {
    async announce(entry, fence) {
      await redis().run(ANNOUNCE, [stream], [entry, String(fence), channel], BACKGROUND_MS);
    },
    listen(heard) {
      listeners.add(heard);
      return () => void listeners.delete(heard);
    },
    woken() {
      if (reading) again = true;
      else plan(readAt + SPACING_MS - clock.monotonic());
    },
    close() {
      closed = true;
      timer?.cancel();
    },
  };
}
