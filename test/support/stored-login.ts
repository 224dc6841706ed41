// A refresh token put where a source looks for it, as bearerd login does, without a person.
import assert from 'node:assert/strict';
import { loadConfig } from '../../src/config/load.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { Secret } from '../../src/lib/secret.ts';
import { createRefreshTokenStore } from '../../src/source/refresh-token/place.ts';
import type { RefreshTokenStore, StoredRefreshToken } from '../../src/source/refresh-token/store.ts';

export async function refreshTokenStore(configFile: string, name: string): Promise<RefreshTokenStore> {
  const source = (await loadConfig(configFile)).sources.find((candidate) => candidate.name === name);
  assert.equal(source?.type, 'refresh_token');
  return createRefreshTokenStore(source as Extract<typeof source, { type: 'refresh_token' }>, {
    clock: systemClock,
    env: {},
  });
}

export async function storeLogin(
  configFile: string,
  name: string,
  token: string,
  patch: Partial<StoredRefreshToken> = {},
): Promise<void> {
  const store = await refreshTokenStore(configFile, name);
  await store.offer({
    token: new Secret(token),
    loginAt: Date.now(),
    expiresAt: undefined,
    askedAt: undefined,
    refusedWith: undefined,
    ...patch,
  });
}
