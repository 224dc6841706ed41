// sources.NAME.client_credentials
import * as z from 'zod';
import { sourceKind } from './kind.ts';
import { type OAuthClientConfig, oauthClient } from './oauth-client.ts';
import { type TokenParametersConfig, tokenParameterKeys, toTokenParameters } from './token-parameters.ts';

export interface ClientCredentialsConfig extends OAuthClientConfig, TokenParametersConfig {
  readonly type: 'client_credentials';
}

export const clientCredentials = sourceKind({
  schema: z
    .strictObject({ ...oauthClient.keys, ...tokenParameterKeys })
    .check(oauthClient.check)
    .meta({
      description: 'OAuth 2.0 client credentials grant. Exactly one of issuer and token_endpoint.',
      ...oauthClient.meta,
    }),
  toConfig: (value, path): ClientCredentialsConfig => ({
    type: 'client_credentials',
    ...oauthClient.toConfig(value, path),
    ...toTokenParameters(value),
  }),
  renewable: true,
  providerUrls: oauthClient.urls,
});
