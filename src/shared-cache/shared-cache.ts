// The shared cache of one process: one connection, its keys and the stream of invalidations, put around token sources.
import type { SharedCacheConfig, SourceConfig } from '../config/config.ts';
import type { TokenSource } from '../credential/credential.ts';
import type { Clock } from '../lib/clock.ts';
import type { Observer } from '../telemetry/observer.ts';
import { createForcedBudget } from './forced-budget.ts';
import { createInvalidations } from './invalidations.ts';
import { createKeys } from './keys.ts';
import { baseName, createSecretHash, entryNames, identityOf } from './name.ts';
import { createRedis, wakeChannel } from './redis.ts';
import { whyNotShared } from './shareable.ts';
import { createSharedMarks, type SharedMarks } from './shared-marks.ts';
import { createSharedRecord, type SharedRecord } from './shared-record.ts';
import { createSharedSource } from './shared-source.ts';

export interface SharedCache {
  /** The source behind the cache; the source itself where its tokens must not be shared. */
  around(source: TokenSource, config: SourceConfig): TokenSource;
  /** What is kept in Redis for this source, by whose it is. */
  record(belongsTo: string, config: SourceConfig): SharedRecord;
  /** For the inbound side. */
  readonly marks: SharedMarks;
  close(): void;
}

export interface SharedCacheDeps {
  readonly clock: Clock;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly observer: Observer;
  readonly random: () => number;
  /** Of one endpoint and the whole fleet; undefined = by the lifetimes of its credentials. */
  readonly forcedRefreshesPerHour?: number | undefined;
}

export function createSharedCache(config: SharedCacheConfig, deps: SharedCacheDeps): SharedCache {
  const { tenant } = config;
  const invalidations = createInvalidations(
    () => redis,
    `bearerd:${tenant}:invalidations`,
    wakeChannel(tenant),
    deps.clock,
  );
  const redis = createRedis(config.redis, { ...deps, tenant, woken: invalidations.woken });
  const secretHash = createSecretHash(deps.env, tenant);
  const keys = createKeys(config.keys, deps.env, deps.clock);
  return {
    around: (source, own) =>
      whyNotShared(own, source.perSubject, config.perUserSources) === undefined
        ? createSharedSource(source, {
            ...{ ...deps, config: own, tenant, redis, keys, invalidations, secretHash },
            budget: createForcedBudget(redis, tenant, source.endpoint, deps.forcedRefreshesPerHour),
          })
        : source,
    record: (belongsTo, own) =>
      createSharedRecord(baseName(tenant, belongsTo), {
        ...{ redis, keys, invalidations },
        async entry() {
          const source = { name: own.name, perSubject: false };
          return entryNames(tenant, await identityOf(own, secretHash), source, undefined).entry;
        },
      }),
    marks: createSharedMarks(redis, tenant),
    close() {
      invalidations.close();
      redis.close();
    },
  };
}
