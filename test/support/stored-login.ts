// A refresh token put where a source looks for it, as bearerd login does, without a person.
import assert from 'node:assert/strict';
import { loadConfig } from '../../src/config/load.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { Secret } from '../../src/lib/secret.ts';
import { createSharedCache } from '../../src/shared-cache/shared-cache.ts';
import { createRefreshTokenStore } from '../../src/source/refresh-token/place.ts';
import type { RefreshTokenStore, StoredRefreshToken } from '../../src/source/refresh-token/store.ts';
import { nullObserver } from '../../src/telemetry/observer.ts';

export async function refreshTokenStore(configFile: string, name: string): Promise<RefreshTokenStore> {
  const { sources, sharedCache } = await loadConfig(configFile);
  const source = sources.find((candidate) => candidate.name === name);
  assert.equal(source?.type, 'refresh_token');
  const deps = { clock: systemClock, env: {}, observer: nullObserver, random: Math.random };
  const cache = sharedCache && createSharedCache(sharedCache, deps);
  const store = createRefreshTokenStore(source as Extract<typeof source, { type: 'refresh_token' }>, {
    ...deps,
    sharedRecord: cache?.record,
  });
  return {
    ...store,
    async close() {
      await store.close();
      cache?.close();
    },
  };
}

export async function storeLogin(
  configFile: string,
  name: string,
  token: string,
  patch: Partial<StoredRefreshToken> = {},
): Promise<void> {
  const store = await refreshTokenStore(configFile, name);
  try {
    await store.offer({
      token: new Secret(token),
      loginAt: Date.now(),
      expiresAt: undefined,
      askedAt: undefined,
      refusedWith: undefined,
      ...patch,
    });
  } finally {
    await store.close();
  }
}
