// sources.NAME.client_credentials
import * as z from 'zod';
import { sourceKind } from './kind.ts';
import {
  type OAuthClientConfig,
  oauthClientCheck,
  oauthClientKeys,
  oauthClientMeta,
  oauthClientUrls,
  toOAuthClient,
} from './oauth-client.ts';
import { type TokenParametersConfig, tokenParameterKeys, toTokenParameters } from './token-parameters.ts';

export interface ClientCredentialsConfig extends OAuthClientConfig, TokenParametersConfig {
  readonly type: 'client_credentials';
}

export const clientCredentials = sourceKind({
  schema: z
    .strictObject({ ...oauthClientKeys, ...tokenParameterKeys })
    .check(oauthClientCheck)
    .meta({
      description: 'OAuth 2.0 client credentials grant. Exactly one of issuer and token_endpoint.',
      ...oauthClientMeta,
    }),
  toConfig: (value, path): ClientCredentialsConfig => ({
    type: 'client_credentials',
    ...toOAuthClient(value, path),
    ...toTokenParameters(value),
  }),
  renewable: true,
  providerUrls: oauthClientUrls,
});
