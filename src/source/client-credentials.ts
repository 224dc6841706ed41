// OAuth 2.0 client credentials grant (RFC 6749 section 4.4).
import type { SourceConfig } from '../config/config.ts';
import type { TokenSource } from '../credential/credential.ts';
import { createOAuthClient } from './oauth/client.ts';
import { buildTokenParameters } from './oauth/token-parameters.ts';
import { toIssuedToken } from './oauth/token-reply.ts';
import type { SourceDeps } from './registry.ts';

type ClientCredentialsConfig = Extract<SourceConfig, { type: 'client_credentials' }>;

export function createClientCredentialsSource(
  config: ClientCredentialsConfig,
  deps: SourceDeps,
): TokenSource {
  const client = createOAuthClient(config, deps);
  return {
    name: config.name,
    type: 'client_credentials',
    endpoint: client.endpoint,
    syntax: 'b64token',
    perSubject: false,
    async issue({ signal }) {
      const parameters = buildTokenParameters(config);
      return toIssuedToken(
        await client.requestToken({ grantType: 'client_credentials', parameters }, signal),
      );
    },
    watch: client.watch,
    close: client.close,
  };
}
