// How the client proves itself at the token endpoint (RFC 6749 section 2.3).
import * as oauth from 'oauth4webapi';
import type { OAuthClientConfig } from '../../config/config.ts';
import { createSecretReader } from '../../lib/secret-ref.ts';
import type { SourceDeps } from '../registry.ts';

export interface ClientAuthentication {
  /** Read anew for each request. Rejects with CredentialError secret_unreadable. */
  authenticate(server: oauth.AuthorizationServer): Promise<oauth.ClientAuth>;
  /** To watch. */
  readonly files: readonly string[];
}

export function createClientAuthentication(
  { clientAuth, clientSecret }: OAuthClientConfig,
  { env }: SourceDeps,
): ClientAuthentication {
  const secret = createSecretReader(clientSecret, env);
  return {
    async authenticate() {
      const text = (await secret.read()).reveal();
      return clientAuth === 'client_secret_post'
        ? oauth.ClientSecretPost(text)
        : oauth.ClientSecretBasic(text);
    },
    files: secret.file === undefined ? [] : [secret.file],
  };
}
