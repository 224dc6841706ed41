// What every OAuth grant of this folder knows of its provider and of its client: keys to spread into the grant's schema,
// checks to hang on it, and the way from the file's words to the program's.
import * as z from 'zod';
import { parseProviderUrl } from '../oauth-values.ts';
import { exactlyOneCheck, filePath, oneOfKeys, parsed } from '../schema-values.ts';
import {
  type ClientAuthenticationConfig,
  clientAuthenticationCheck,
  clientAuthenticationKeys,
  toClientAuthentication,
} from './client-authentication.ts';

export interface OAuthClientConfig extends ClientAuthenticationConfig {
  /** Exactly one of issuer (discovery) and tokenEndpoint. */
  readonly issuer: string | undefined;
  readonly tokenEndpoint: string | undefined;
  /** The same provider elsewhere: addresses of the kind that is given, in order of preference. */
  readonly regions: readonly string[];
  readonly clientId: string;
  /** Tokens are bound to a key of this process (RFC 9449). */
  readonly dpop: boolean;
  /** PEM bundle of a private CA. */
  readonly caFile: string | undefined;
}

const shape = {
  issuer: parsed(z.string(), (text) => parseProviderUrl(text, 'issuer'))
    .optional()
    .describe('Identity provider whose metadata names the token endpoint (discovery). https.'),
  token_endpoint: parsed(z.string(), (text) => parseProviderUrl(text, 'token_endpoint'))
    .optional()
    .describe('Token endpoint, without discovery. https.'),
  regions: z
    .array(parsed(z.string(), (text) => parseProviderUrl(text, 'token_endpoint')))
    .max(7)
    .default([])
    .describe(
      'The same provider in other regions: addresses of the kind of issuer or token_endpoint, asked in this order when those before do not answer. Default: none.',
    ),
  // RFC 6749 appendix A.1; typographic quotes would be a part of it.
  client_id: z.string().regex(/^[\x20-\x7e]+$/, {
    error: 'expected visible ASCII characters; quotes are straight ones (")',
  }),
  ...clientAuthenticationKeys,
  dpop: z
    .boolean()
    .default(false)
    .describe('Tokens are bound to a key of this process by DPoP (RFC 9449). Default false.'),
  ca_file: filePath
    .optional()
    .describe('PEM file of a private certificate authority. Default: the public ones.'),
};

const keys = z.object(shape);
type Value = z.output<typeof keys>;

const endpointCheck = exactlyOneCheck<Value>('issuer', 'token_endpoint');

export const oauthClient = {
  keys: shape,
  /** For `.check()` of a grant's schema. */
  check(payload: z.core.ParsePayload<Value>): void {
    endpointCheck(payload);
    clientAuthenticationCheck(payload);
  },
  /** The same for editors: for `.meta()` of a grant's schema. */
  meta: oneOfKeys('issuer', 'token_endpoint'),
  /** Of the keys, those that are held to https outside development mode. */
  urls: ['issuer', 'token_endpoint', 'regions'] as const,
  toConfig(value: Value, path: (relative: string) => string): OAuthClientConfig {
    return {
      issuer: value.issuer,
      tokenEndpoint: value.token_endpoint,
      regions: value.regions,
      clientId: value.client_id,
      ...toClientAuthentication(value, path),
      dpop: value.dpop,
      caFile: value.ca_file === undefined ? undefined : path(value.ca_file),
    };
  },
};
