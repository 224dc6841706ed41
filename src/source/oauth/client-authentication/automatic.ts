// `client_auth: auto`: the first method that is configured and that the provider's metadata lists (RFC 8414 section 2).
// Those without a shared secret come first: what cannot leak need not be rotated.
import type { AuthorizationServer } from 'oauth4webapi';
import type { ClientAuthMethod, OAuthClientConfig } from '../../../config/config.ts';
import { CredentialError } from '../../../lib/errors.ts';
import type { ClientAuthentication } from './client-authentication.ts';

/** In this order, each with what it needs and the names under which metadata list it. */
const METHODS: readonly {
  readonly method: ClientAuthMethod;
  readonly isConfigured: (config: OAuthClientConfig) => boolean;
  /** Federated assertions are presented like the client's own: few providers have a name of their own for them. */
  readonly listed: readonly string[];
}[] = [
  {
    method: 'client_assertion',
    isConfigured: ({ clientAssertion }) => clientAssertion !== undefined,
    listed: ['private_key_jwt', 'federated_jwt', 'client_assertion'],
  },
  {
    method: 'tls_client_auth',
    isConfigured: ({ clientCertificate }) => clientCertificate !== undefined,
    listed: ['tls_client_auth', 'self_signed_tls_client_auth'],
  },
  {
    method: 'private_key_jwt',
    isConfigured: ({ privateKeyJwt }) => privateKeyJwt !== undefined,
    listed: ['private_key_jwt'],
  },
  {
    method: 'client_secret_basic',
    isConfigured: ({ clientSecrets }) => clientSecrets.length > 0,
    listed: ['client_secret_basic'],
  },
  {
    method: 'client_secret_post',
    isConfigured: ({ clientSecrets }) => clientSecrets.length > 0,
    listed: ['client_secret_post'],
  },
];

export function createAutomatic(
  config: OAuthClientConfig,
  create: (method: ClientAuthMethod) => ClientAuthentication,
): ClientAuthentication {
  const configured = METHODS.filter(({ isConfigured }) => isConfigured(config)).map((entry) => ({
    ...entry,
    authentication: create(entry.method),
  }));
  let chosen: ClientAuthentication | undefined;

  return {
    async authenticate(server, signal) {
      const offered = methodsOf(server);
      let reason: unknown;
      for (const { listed, authentication } of configured) {
        if (offered !== undefined && !listed.some((name) => offered.includes(name))) continue;
        try {
          const authenticate = await authentication.authenticate(server, signal);
          chosen = authentication;
          return authenticate;
        } catch (error) {
          // The provider takes none of the key's signatures: the next method. An unreadable key is to be mended instead.
          if (!(error instanceof CredentialError) || error.code !== 'source_rejected') throw error;
          reason = error;
        }
      }
      throw (
        reason ??
        new CredentialError(
          'source_rejected',
          `the provider's metadata list none of the client's ways to prove itself (${configured
            .map(({ method }) => method)
            .join(', ')}); set client_auth if the metadata are wrong`,
          { retryable: false },
        )
      );
    },
    refused: (sent) => chosen?.refused?.(sent) ?? false,
    oddity: () => chosen?.oddity?.(),
    files: [...new Set(configured.flatMap(({ authentication }) => authentication.files))],
  };
}

/** undefined = the metadata say nothing, or there are none. */
function methodsOf(server: AuthorizationServer): readonly string[] | undefined {
  const listed = server.token_endpoint_auth_methods_supported;
  return Array.isArray(listed) && listed.length > 0 ? listed : undefined;
}
