// The shared cache of one process: one connection, its keys and the stream of invalidations, put around token sources.
import type { SharedCacheConfig, SourceConfig } from '../config/config.ts';
import type { TokenSource } from '../credential/credential.ts';
import type { Clock } from '../lib/clock.ts';
import type { Observer } from '../telemetry/observer.ts';
import { createInvalidations } from './invalidations.ts';
import { createKeys } from './keys.ts';
import { createSecretHash, isShareable } from './name.ts';
import { createRedis } from './redis.ts';
import { createSharedMarks, type SharedMarks } from './shared-marks.ts';
import { createSharedSource } from './shared-source.ts';

export interface SharedCache {
  /** The source behind the cache; the source itself where its tokens must not be shared. */
  around(source: TokenSource, config: SourceConfig): TokenSource;
  /** For the inbound side. */
  readonly marks: SharedMarks;
  close(): void;
}

export interface SharedCacheDeps {
  readonly clock: Clock;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly observer: Observer;
  readonly random: () => number;
}

export function createSharedCache(config: SharedCacheConfig, deps: SharedCacheDeps): SharedCache {
  const { tenant } = config;
  const channel = `bearerd:${tenant}:wake`;
  const invalidations = createInvalidations(
    () => redis,
    `bearerd:${tenant}:invalidations`,
    channel,
    deps.clock,
  );
  const redis = createRedis(config.redis, { ...deps, channel, woken: invalidations.woken });
  const secretHash = createSecretHash(deps.env, tenant);
  const keys = createKeys(config.keys, deps.env, deps.clock);
  return {
    around: (source, own) =>
      isShareable(own, source, config.perUserSources)
        ? createSharedSource(source, { ...deps, config: own, tenant, redis, keys, invalidations, secretHash })
        : source,
    marks: createSharedMarks(redis, tenant),
    close() {
      invalidations.close();
      redis.close();
    },
  };
}
