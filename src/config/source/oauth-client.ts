// What every OAuth grant of this folder knows of its provider and of its client: keys to spread into the grant's schema,
// checks to hang on it, and the way from the file's words to the program's.
import * as z from 'zod';
import { parseProviderUrl } from '../oauth-values.ts';
import { exactlyOne, filePath, oneOfKeys, parsed } from '../schema-values.ts';
import { resolveSecretRef, type SecretRef, secretRef } from './secret-ref.ts';

export interface OAuthClientConfig {
  /** Exactly one of issuer (discovery) and tokenEndpoint. */
  readonly issuer: string | undefined;
  readonly tokenEndpoint: string | undefined;
  readonly clientId: string;
  readonly clientSecret: SecretRef;
  readonly clientAuth: 'client_secret_basic' | 'client_secret_post';
  /** PEM bundle of a private CA. */
  readonly caFile: string | undefined;
}

export const oauthClientKeys = {
  issuer: parsed(z.string(), (text) => parseProviderUrl(text, 'issuer'))
    .optional()
    .describe('Identity provider whose metadata names the token endpoint (discovery). https.'),
  token_endpoint: parsed(z.string(), (text) => parseProviderUrl(text, 'token_endpoint'))
    .optional()
    .describe('Token endpoint, without discovery. https.'),
  client_id: z.string().min(1),
  client_secret: secretRef.describe('Reference to the secret: { file: /path } or { env: NAME }.'),
  client_auth: z
    .enum(['client_secret_basic', 'client_secret_post'])
    .default('client_secret_basic')
    .describe('How the client proves itself. Default client_secret_basic.'),
  ca_file: filePath
    .optional()
    .describe('PEM file of a private certificate authority. Default: the public ones.'),
};

const keys = z.object(oauthClientKeys);

/** For `.check()` of a grant's schema. */
export const oauthClientCheck = exactlyOne<z.output<typeof keys>>('issuer', 'token_endpoint');

/** The same for editors: for `.meta()` of a grant's schema. */
export const oauthClientMeta = oneOfKeys('issuer', 'token_endpoint');

/** Of them, those that are held to https outside development mode. */
export const oauthClientUrls = ['issuer', 'token_endpoint'] as const;

export function toOAuthClient(
  client: z.output<typeof keys>,
  path: (relative: string) => string,
): OAuthClientConfig {
  return {
    issuer: client.issuer,
    tokenEndpoint: client.token_endpoint,
    clientId: client.client_id,
    clientSecret: resolveSecretRef(client.client_secret, path),
    clientAuth: client.client_auth,
    caFile: client.ca_file === undefined ? undefined : path(client.ca_file),
  };
}
