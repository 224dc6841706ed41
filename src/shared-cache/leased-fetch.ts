// The provider asked with the lease in hand, and what it gave written for the fleet.
import type { SourceConfig } from '../config/config.ts';
import type { IssuedToken, IssueRequest, TokenSource } from '../credential/credential.ts';
import { effectiveLifetimeMs } from '../credential/lifetime.ts';
import type { Clock } from '../lib/clock.ts';
import { CredentialError } from '../lib/errors.ts';
import type { Observer } from '../telemetry/observer.ts';
import { type Entry, entryLeftMs, entryOf, sealEntry } from './entry.ts';
import type { ForcedBudget } from './forced-budget.ts';
import type { Invalidations } from './invalidations.ts';
import type { Keys } from './keys.ts';
import type { EntryNames } from './name.ts';
import { BACKGROUND_MS, type Redis } from './redis.ts';
import { RELEASE, WRITE } from './scripts.ts';

export interface LeasedFetch {
  /**
   * What the provider gave, and the entry of it unless it must not be shared. A request that was refused is charged to the
   * fleet's budget first. Rejects with CredentialError, the lease given back.
   */
  fetch(
    names: EntryNames,
    fence: number,
    request: IssueRequest,
  ): Promise<{ readonly issued: IssuedToken; readonly entry: Entry | undefined }>;
  release(names: EntryNames): void;
  /** Resolves when all that was begun is written. */
  settled(): Promise<unknown>;
}

export interface LeasedFetchDeps {
  readonly config: SourceConfig;
  readonly redis: Redis;
  readonly keys: Keys;
  readonly invalidations: Invalidations;
  readonly budget: ForcedBudget;
  readonly clock: Clock;
  readonly observer: Observer;
  /** Of leases. */
  readonly holder: string;
}

export function createLeasedFetch(source: TokenSource, deps: LeasedFetchDeps): LeasedFetch {
  const { config, redis, keys, invalidations, budget, clock, observer, holder } = deps;
  const writes = new Set<Promise<void>>();

  async function charge(names: EntryNames): Promise<void> {
    const waitMs = await budget.take(names);
    if (waitMs === undefined || waitMs === 0) return;
    throw new CredentialError('source_unavailable', 'the fleet has used up its renewals before time', {
      retryable: true,
      retryAfterMs: waitMs,
    });
  }

  async function write(names: EntryNames, entry: Entry, isForced: boolean): Promise<void> {
    const leftMs = entryLeftMs(entry, clock.now());
    const key = (await keys.all())[0];
    if (leftMs <= 0 || key === undefined) return;
    const { entry: name, lease, fences } = names;
    const reply = await redis.run(
      WRITE,
      [name, lease, fences],
      [holder, String(entry.fence), sealEntry(entry, key, name), String(leftMs)],
      BACKGROUND_MS,
    );
    const result = reply === undefined ? 'unavailable' : reply === 1 ? 'written' : 'overtaken';
    observer.sharedCacheWritten(source.name, result);
    // It may have answered: of a full one (OOM) the script ends before it gives the lease back.
    if (result === 'unavailable') release(names);
    if (result !== 'written') return;
    if (isForced) await invalidations.announce(name, entry.fence);
    else await budget.came(names, leftMs);
  }

  /** settled() waits for it. */
  async function tracked(write: Promise<unknown>): Promise<void> {
    const ended = write.then(
      () => {},
      (error: unknown) => observer.unexpected('shared cache', error),
    );
    writes.add(ended);
    await ended;
    writes.delete(ended);
  }

  function release({ lease }: EntryNames): void {
    void tracked(redis.run(RELEASE, [lease], [holder], BACKGROUND_MS));
  }

  return {
    async fetch(names, fence, request) {
      const isForced = request.refused !== undefined;
      let issued: IssuedToken;
      try {
        if (isForced) await charge(names);
        issued = await source.issue(request);
      } catch (error) {
        release(names);
        throw error;
      }
      const lifetimeMs = issued.lifetimeMs && effectiveLifetimeMs(issued, config.maxLifetimeMs);
      const entry = entryOf({ ...issued, lifetimeMs }, fence, clock.now());
      if (entry === undefined) release(names);
      // Nobody waits for it: who needs the token has it.
      else void tracked(write(names, entry, isForced));
      return { issued, entry };
    },
    release,
    settled: () => Promise.all(writes),
  };
}
