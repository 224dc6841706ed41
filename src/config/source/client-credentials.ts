// sources.NAME.client_credentials
import * as z from 'zod';
import { parseExtraParamName, parseProviderUrl, parseResource, parseScope } from '../oauth-values.ts';
import { exactlyOne, filePath, oneOfKeys, parsed, textOrList } from '../schema-values.ts';
import { sourceKind } from './kind.ts';
import { resolveSecretRef, type SecretRef, secretRef } from './secret-ref.ts';

export interface ClientCredentialsConfig {
  readonly type: 'client_credentials';
  /** Exactly one of issuer (discovery) and tokenEndpoint. */
  readonly issuer: string | undefined;
  readonly tokenEndpoint: string | undefined;
  readonly clientId: string;
  readonly clientSecret: SecretRef;
  readonly clientAuth: 'client_secret_basic' | 'client_secret_post';
  readonly scope: readonly string[];
  readonly audience: string | undefined;
  /** RFC 8707. */
  readonly resource: readonly string[];
  readonly extraParams: Readonly<Record<string, string>>;
  /** PEM bundle of a private CA. */
  readonly caFile: string | undefined;
}

const schema = z
  .strictObject({
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
    scope: parsed(textOrList, parseScope)
      .prefault([])
      .describe('List, or one text with spaces. Default: none.'),
    audience: z.string().min(1).optional().describe('Sent as audience. Default: none.'),
    resource: parsed(textOrList, (value) => (typeof value === 'string' ? [value] : value).map(parseResource))
      .prefault([])
      .describe('Resource indicators, RFC 8707: absolute URIs, one or a list. Default: none.'),
    extra_params: z
      .record(parsed(z.string(), parseExtraParamName), z.string())
      .default({})
      .describe('Further form parameters of the token request, as the provider asks. Default: none.'),
    ca_file: filePath
      .optional()
      .describe('PEM file of a private certificate authority. Default: the public ones.'),
  })
  .check(exactlyOne('issuer', 'token_endpoint'))
  .meta({
    description: 'OAuth 2.0 client credentials grant. Exactly one of issuer and token_endpoint.',
    ...oneOfKeys('issuer', 'token_endpoint'),
  });

export const clientCredentials = sourceKind({
  schema,
  toConfig: (client, path): ClientCredentialsConfig => ({
    type: 'client_credentials',
    issuer: client.issuer,
    tokenEndpoint: client.token_endpoint,
    clientId: client.client_id,
    clientSecret: resolveSecretRef(client.client_secret, path),
    clientAuth: client.client_auth,
    scope: client.scope,
    audience: client.audience,
    resource: client.resource,
    extraParams: client.extra_params,
    caFile: client.ca_file === undefined ? undefined : path(client.ca_file),
  }),
  renewable: true,
  providerUrls: ['issuer', 'token_endpoint'],
});
