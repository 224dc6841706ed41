// One look into Redis: what lies there, whether it may be used, and the lease where it was granted.
import type { TokenSource } from '../credential/credential.ts';
import type { Clock } from '../lib/clock.ts';
import type { SealingKey } from '../lib/sealed.ts';
import type { SharedCacheRead } from '../telemetry/event-details.ts';
import type { Observer } from '../telemetry/observer.ts';
import { type Entry, openEntry } from './entry.ts';
import type { Keys } from './keys.ts';
import type { EntryNames } from './name.ts';
import type { Redis } from './redis.ts';
import { TAKE } from './scripts.ts';

/** Longer than the longest fetch: 5 s in the last region, 1.2 s in each before it. Nobody waits for its end. */
const LEASE_MS = 8_000;

export interface Look {
  /** Something is there, usable or not. */
  readonly isPresent: boolean;
  /** Usable, and no older than what we had. */
  readonly entry: Entry | undefined;
  readonly leftMs: number;
  /** Granted to us; undefined = not. */
  readonly fence: number | undefined;
  /** Of another's lease; undefined = there is none that we know of. */
  readonly heldForMs: number | undefined;
}

export interface Looks {
  /** Takes the lease, only where nothing lies there ('absent') or in any case. undefined = no answer in time. */
  look(names: EntryNames, mode: 'absent' | 'always', budgetMs: number): Promise<Look | undefined>;
  /** Takes the lease where there is nothing, or nothing of use. */
  seek(names: EntryNames, budgetMs: number): Promise<Look | undefined>;
  /** A write of our own with this fence: what is older is an old value put back. */
  saw(fence: number): void;
}

export interface LooksDeps {
  readonly redis: Redis;
  readonly keys: Keys;
  readonly clock: Clock;
  readonly observer: Observer;
  /** Of leases. */
  readonly holder: string;
}

export function createLooks(source: TokenSource, deps: LooksDeps): Looks {
  const { redis, keys, clock, observer, holder } = deps;
  /** Highest fence. Not for single users, whose number is not bounded. */
  let seen = 0;

  function saw(fence: number): void {
    if (!source.perSubject) seen = Math.max(seen, fence);
  }

  async function usableKeys(): Promise<readonly SealingKey[] | undefined> {
    try {
      return await keys.all();
    } catch (error) {
      observer.unexpected('shared cache', error);
      observer.sharedCacheRead(source.name, 'unavailable');
      return undefined;
    }
  }

  async function look(
    names: EntryNames,
    mode: 'absent' | 'always',
    budgetMs: number,
  ): Promise<Look | undefined> {
    const { entry: name, lease, fences } = names;
    const sealingKeys = await usableKeys();
    // Whoever cannot write what it fetches must not have the lease.
    if (sealingKeys === undefined) return undefined;
    const reply = await redis.run(TAKE, [name, lease, fences], [holder, String(LEASE_MS), mode], budgetMs);
    if (!Array.isArray(reply)) {
      observer.sharedCacheRead(source.name, 'unavailable');
      return undefined;
    }
    const [text, left, fence, heldFor] = reply as [unknown, unknown, unknown, unknown];
    const leftMs = Number(left);
    const opened = typeof text === 'string' ? openEntry(text, sealingKeys, name) : undefined;
    const result = ((): SharedCacheRead => {
      if (typeof text !== 'string') return 'miss';
      if (opened === undefined) return 'not_opened';
      if (opened.fence < seen) return 'replayed';
      // Without a lifetime of Redis's own (PERSIST) it is not what we wrote.
      return leftMs > 0 && clock.now() < opened.expiresAt - opened.marginMs ? 'hit' : 'miss';
    })();
    observer.sharedCacheRead(source.name, result);
    const entry = result === 'hit' ? opened : undefined;
    if (entry !== undefined) saw(entry.fence);
    return {
      isPresent: typeof text === 'string',
      entry,
      leftMs,
      fence: Number(fence) > 0 ? Number(fence) : undefined,
      heldForMs: Number(heldFor) >= 0 ? Number(heldFor) : undefined,
    };
  }

  return {
    look,
    async seek(names, budgetMs) {
      const found = await look(names, 'absent', budgetMs);
      const isUseless = found?.isPresent && found.entry === undefined;
      return isUseless ? look(names, 'always', budgetMs) : found;
    },
    saw,
  };
}
