// sources.NAME.refresh_token
import * as z from 'zod';
import { parseProviderUrl } from '../oauth-values.ts';
import { duration, exactlyOne, filePath, oneOfKeys, parsed } from '../schema-values.ts';
import { sourceKind } from './kind.ts';
import { type OAuthClientConfig, oauthClient } from './oauth-client.ts';
import { resolveSecretRef, type SecretRef, secretRef } from './secret-ref.ts';
import { type TokenParametersConfig, tokenParameterKeys, toTokenParameters } from './token-parameters.ts';

const HOUR_MS = 3_600_000;

export interface RefreshTokenConfig extends OAuthClientConfig, TokenParametersConfig {
  readonly type: 'refresh_token';
  /** For bearerd login, where there is no discovery. */
  readonly authorizationEndpoint: string | undefined;
  readonly deviceAuthorizationEndpoint: string | undefined;
  readonly authorizationParams: Readonly<Record<string, string>>;
  readonly store: RefreshTokenStoreConfig;
  /** Milliseconds from its issue, where the provider does not tell; undefined = unknown. */
  readonly refreshLifetimeMs: number | undefined;
}

export type RefreshTokenStoreConfig =
  | {
      readonly kind: 'file';
      readonly file: string;
      /** 32 random bytes, base64 or hexadecimal. */
      readonly key: SecretRef;
    }
  /** The Redis of shared_cache, sealed with its keys. */
  | { readonly kind: 'shared' };

const endpoint = parsed(z.string(), (text) => parseProviderUrl(text, 'token_endpoint')).optional();

const store = z
  .strictObject({
    file: filePath
      .optional()
      .describe(
        'File on a writable volume of this process alone, made by bearerd. Beside it lie FILE.login and FILE.lock.N.',
      ),
    key: secretRef
      .optional()
      .describe(
        'Of file: reference to the key that seals it, 32 random bytes as base64 or hexadecimal (openssl rand -base64 32).',
      ),
    shared: z
      .literal(true)
      .optional()
      .describe(
        'In the Redis of shared_cache, sealed with its keys: several processes use one token in turn.',
      ),
  })
  .check(exactlyOne('file', 'shared'))
  .check(({ value, issues }) => {
    if (value.file !== undefined && value.key === undefined) {
      issues.push({ code: 'custom', message: 'file needs key, which seals it', path: ['key'], input: value });
    } else if (value.shared && value.key !== undefined) {
      const message = 'belongs to file; what is shared is sealed with the keys of shared_cache';
      issues.push({ code: 'custom', message, path: ['key'], input: value });
    }
  })
  .meta(oneOfKeys('file', 'shared'))
  .describe('Where the refresh token is kept, sealed with AES-256-GCM: { file, key } or { shared: true }.');

export const refreshToken = sourceKind({
  schema: z
    .strictObject({
      ...oauthClient.keys,
      ...tokenParameterKeys,
      authorization_endpoint: endpoint.describe('For bearerd login. Default: from discovery.'),
      device_authorization_endpoint: endpoint.describe(
        'For bearerd login --flow device. Default: from discovery.',
      ),
      authorization_params: z
        .record(z.string().min(1), z.string())
        .default({})
        .describe(
          'Further parameters of the login’s authorization request, e.g. prompt: consent. Default: none.',
        ),
      store,
      refresh_lifetime: duration({ minMs: HOUR_MS, maxMs: 87_600 * HOUR_MS })
        .optional()
        .describe(
          'How long a refresh token lives where the provider’s answer does not tell, e.g. 2160h, for the warning 7 days before. Default: unknown.',
        ),
    })
    .check(oauthClient.check)
    .check(({ value, issues }) => {
      if (!value.dpop || value.client_auth !== 'none') return;
      // RFC 9449 section 5: a public client's refresh token is bound to the key, which ends with the process.
      issues.push({
        code: 'custom',
        message:
          'dpop needs a client that proves itself: a public client’s refresh token would end with this process',
        path: ['dpop'],
        input: value,
      });
    })
    .meta({
      description:
        'OAuth 2.0 refresh token of a login (bearerd login), kept sealed. Exactly one of issuer and token_endpoint.',
      ...oauthClient.meta,
    }),
  toConfig: (value, path): RefreshTokenConfig => ({
    type: 'refresh_token',
    ...oauthClient.toConfig(value, path),
    ...toTokenParameters(value),
    authorizationEndpoint: value.authorization_endpoint,
    deviceAuthorizationEndpoint: value.device_authorization_endpoint,
    authorizationParams: value.authorization_params,
    store: value.store.shared
      ? { kind: 'shared' }
      : { kind: 'file', file: path(value.store.file!), key: resolveSecretRef(value.store.key!, path) },
    refreshLifetimeMs: value.refresh_lifetime,
  }),
  renewable: true,
  providerUrls: [...oauthClient.urls, 'authorization_endpoint', 'device_authorization_endpoint'],
});
