// From the configuration of a refresh_token source to the place where its token is kept.
import type { SourceConfig } from '../../config/config.ts';
import { createSecretReader } from '../../lib/secret-ref.ts';
import type { SourceDeps } from '../registry.ts';
import { createFileStore } from './file-store.ts';
import { createSharedStore } from './shared-store.ts';
import type { RefreshTokenStore } from './store.ts';

type RefreshTokenConfig = Extract<SourceConfig, { type: 'refresh_token' }>;

export function createRefreshTokenStore(
  config: RefreshTokenConfig,
  { clock, env, sharedRecord }: Pick<SourceDeps, 'clock' | 'env' | 'sharedRecord'>,
): RefreshTokenStore {
  const { store, name, clientId, issuer, tokenEndpoint } = config;
  const belongsTo = JSON.stringify(['refresh_token', (issuer ?? tokenEndpoint)!, clientId, name]);
  // The configuration has seen to it that there is a shared cache.
  if (store.kind === 'shared') return createSharedStore(sharedRecord!(belongsTo, config), clock);
  return createFileStore({
    path: store.file,
    key: createSecretReader(store.key, env),
    belongsTo,
    clock,
  });
}
