// How the client proves itself at the token endpoint (RFC 6749 section 2.3): one file a method, chosen here.
import * as oauth from 'oauth4webapi';
import type { ClientAuthMethod, OAuthClientConfig } from '../../../config/config.ts';
import type { Clock } from '../../../lib/clock.ts';
import type { SourceDeps } from '../../registry.ts';
import { createSpiffeAssertion } from '../../spiffe/spiffe-assertion.ts';
import type { AssertionProvider } from '../assertion.ts';
import { createAssertionFile } from '../assertion-file.ts';
import { createAutomatic } from './automatic.ts';
import { createClientAssertion } from './client-assertion.ts';
import { createClientSecret } from './client-secret.ts';
import { createPrivateKeyJwt } from './private-key-jwt.ts';

export interface ClientAuthentication {
  /** Secrets and keys are read anew for each request. Rejects with CredentialError. */
  authenticate(server: oauth.AuthorizationServer, signal: AbortSignal): Promise<oauth.ClientAuth>;
  /**
   * The provider answered invalid_client to `sent`, or the secret could not be read (undefined). True: there is another one to
   * try. Calls run side by side, so what was sent may be in use no more.
   */
  refused?(sent: oauth.ClientAuth | undefined): boolean;
  /** What is odd about the proof that was sent last, for our own log; quotes nothing of it. */
  oddity?(): string | undefined;
  /** To watch. */
  readonly files: readonly string[];
}

export function createClientAuthentication(
  config: OAuthClientConfig,
  deps: SourceDeps,
): ClientAuthentication {
  if (config.clientAuth === 'auto') {
    return createAutomatic(config, (method) => createMethod(method, config, deps));
  }
  return createMethod(config.clientAuth, config, deps);
}

function createMethod(
  method: ClientAuthMethod,
  config: OAuthClientConfig,
  { clock, env }: SourceDeps,
): ClientAuthentication {
  switch (method) {
    case 'client_secret_basic':
      return createClientSecret(config.clientSecrets, oauth.ClientSecretBasic, env);
    case 'client_secret_post':
      return createClientSecret(config.clientSecrets, oauth.ClientSecretPost, env);
    case 'private_key_jwt':
      return createPrivateKeyJwt(config.privateKeyJwt!, config.issuer !== undefined, env);
    case 'client_assertion':
      return createClientAssertion(createAssertion(config, clock), config.clientAssertion!.type);
    case 'tls_client_auth':
    case 'self_signed_tls_client_auth':
      // The connection proves it (RFC 8705 section 2); the form only says who.
      return { authenticate: async () => oauth.TlsClientAuth(), files: [] };
    case 'none':
      return { authenticate: async () => oauth.None(), files: [] };
  }
}

function createAssertion({ clientAssertion, issuer }: OAuthClientConfig, clock: Clock): AssertionProvider {
  if ('file' in clientAssertion!) return createAssertionFile(clientAssertion.file, clock);
  return createSpiffeAssertion(clientAssertion!.spiffe, issuer !== undefined, clock);
}
