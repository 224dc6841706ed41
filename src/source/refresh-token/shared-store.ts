// A refresh token in the Redis of shared_cache, used by many processes in turn: each use is inside a lease, so that a
// rotation is never taken for theft. Here Redis is no cache: while it does not answer there is no refresh, and that is told.
import type { Clock } from '../../lib/clock.ts';
import { CredentialError } from '../../lib/errors.ts';
import {
  type HeldRefreshToken,
  parseRefreshToken,
  type RefreshTokenStore,
  refreshTokenText,
  type StoredRefreshToken,
} from './store.ts';

/** Longer than a call, which takes 15 s at most, and the write after it. Begins anew right before the call. */
const LEASE_MS = 20_000;
/** For the turn of others: with the call that follows, less than the 5 s that the endpoint gives it. */
const TURN_MS = 2_500;
const POLL_MS = 100;
/** An answer that Redis did not take is offered again and again: whoever loses it has lost the login. */
const REWRITE_MS = 250;
/** Of a process that ends. */
const LAST_WRITES_MS = 3_000;
/**
 * Whoever asked last may live and hold the answer, cut off from Redis. It gets so long after we saw its mark. A second use
 * of the same token before its answer is written would end the login.
 */
const DOUBT_MS = 5_000;

/** What is needed of Redis; the shared cache has it. Of all methods undefined = no answer. */
export interface SharedRecord {
  readonly name: string;
  /** Milliseconds until another's lease ends; 0 = it is ours. */
  hold(leaseMs: number): Promise<number | undefined>;
  release(): Promise<void>;
  read(): Promise<{ readonly version: number; readonly text: string | undefined } | undefined>;
  /** The new version; 0 = somebody wrote after `follows`, or has the lease that `leaseMs` asks for. */
  write(text: string, follows: number, leaseMs?: number): Promise<number | undefined>;
  replace(text: string): Promise<number | undefined>;
  watch(changed: () => void): () => void;
}

export function createSharedStore(record: SharedRecord, clock: Clock): RefreshTokenStore {
  let queue: Promise<unknown> = Promise.resolve();
  let version = 0;
  /** Of our own mark before a call: what follows it is ours to write. */
  let asked: number | undefined;
  let doubt: { readonly version: number; readonly since: number } | undefined;
  let endsAt = Number.POSITIVE_INFINITY;

  async function hold(): Promise<void> {
    const until = clock.monotonic() + TURN_MS;
    for (;;) {
      const leftMs = answered(await record.hold(LEASE_MS));
      if (leftMs === 0) return;
      if (clock.monotonic() > until) {
        throw unavailable('another process is at it', Math.min(leftMs, DOUBT_MS));
      }
      await sleep(POLL_MS);
    }
  }

  async function read(): Promise<StoredRefreshToken | undefined> {
    const found = answered(await record.read());
    version = found.version;
    if (version === 0) return undefined;
    const stored = found.text === undefined ? undefined : parseRefreshToken(found.text);
    if (stored === undefined) throw unavailable('what lies there does not open: another key, or damaged');
    if (stored.askedAt === undefined || version === asked) return stored;
    if (doubt?.version !== version) doubt = { version, since: clock.monotonic() };
    const leftMs = doubt.since + DOUBT_MS - clock.monotonic();
    if (leftMs > 0)
      throw unavailable('another process has asked with it and not yet told the answer', leftMs);
    return stored;
  }

  async function write(next: StoredRefreshToken): Promise<void> {
    const isMark = next.askedAt !== undefined;
    const text = refreshTokenText(next);
    for (;;) {
      const written = await record.write(text, version, isMark ? LEASE_MS : undefined);
      if (written === 0) throw unavailable('another process or a login has changed it meanwhile');
      if (written !== undefined) {
        version = written;
        asked = isMark ? written : undefined;
        return;
      }
      // Before a call nothing is lost, and there must be none; after it everything is.
      if (isMark || clock.monotonic() > endsAt) throw silent();
      await sleep(REWRITE_MS);
    }
  }

  async function sleep(ms: number): Promise<void> {
    await new Promise<void>((resolve) => clock.setTimer(resolve, ms));
  }

  function unavailable(why: string, retryAfterMs?: number): CredentialError {
    return new CredentialError('store_unavailable', `${record.name} in Redis: ${why}`, {
      retryable: true,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    });
  }

  const silent = () =>
    unavailable('no answer within a second, or no right to it; without it there is no refresh');

  function answered<T>(reply: T | undefined): T {
    if (reply === undefined) throw silent();
    return reply;
  }

  const held: HeldRefreshToken = { read, write };

  return {
    place: record.name,
    exclusively(work) {
      const turn = queue.then(async () => {
        await hold();
        try {
          return await work(held);
        } finally {
          await record.release();
        }
      });
      queue = turn.catch(() => {});
      return turn;
    },
    async checkOffer() {
      answered(await record.read());
    },
    async offer(next) {
      answered(await record.replace(refreshTokenText(next)));
    },
    watch: (changed) => record.watch(changed),
    async close() {
      endsAt = clock.monotonic() + LAST_WRITES_MS;
      await queue;
    },
  };
}
