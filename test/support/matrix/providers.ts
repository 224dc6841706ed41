// The identity providers of the matrix, each with a client for every authentication that it knows.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { systemClock } from '../../../src/lib/clock.ts';
import { createOAuthClient } from '../../../src/source/oauth/client.ts';
import { nullObserver } from '../../../src/telemetry/observer.ts';
import { startKeycloak } from '../keycloak.ts';
import { jwksOf, startOpenIdProvider } from '../openid-provider.ts';
import { sourceConfig } from '../token-source.ts';
import { type Parts, SECRET } from './parts.ts';

export interface Provider {
  readonly issuer: string;
  /** Name of the claim that says which client it is. */
  readonly clientClaim: string;
  /** `undefined` where it has no such client. */
  readonly clients: Readonly<Record<string, string>>;
  refreshToken(words: object): Promise<string>;
  stop(): Promise<void>;
}

export async function openIdProvider(parts: Parts): Promise<Provider> {
  const x509 = new X509Certificate(readFileSync(parts.certificates.self.cert));
  const self = {
    ...x509.publicKey.export({ format: 'jwk' }),
    use: 'sig',
    x5c: [x509.raw.toString('base64')],
  };
  const provider = await startOpenIdProvider({
    authority: parts.authority,
    clients: [
      { client_id: 'basic', client_secret: SECRET, token_endpoint_auth_method: 'client_secret_basic' },
      {
        client_id: 'dpop',
        client_secret: SECRET,
        token_endpoint_auth_method: 'client_secret_basic',
        dpop_bound_access_tokens: true,
      },
      { client_id: 'post', client_secret: SECRET, token_endpoint_auth_method: 'client_secret_post' },
      {
        client_id: 'key',
        token_endpoint_auth_method: 'private_key_jwt',
        jwks: await jwksOf({ key: parts.own.publicKey }),
      },
      {
        client_id: 'tls',
        token_endpoint_auth_method: 'tls_client_auth',
        tls_client_auth_san_dns: 'orders',
      },
      {
        client_id: 'self',
        token_endpoint_auth_method: 'self_signed_tls_client_auth',
        jwks: { keys: [self] },
      },
      {
        client_id: 'public',
        token_endpoint_auth_method: 'none',
        grant_types: ['authorization_code', 'refresh_token'],
      },
    ],
  });
  return {
    issuer: provider.issuer,
    clientClaim: 'client_id',
    clients: {
      client_secret_basic: 'basic',
      'client_secret_basic + DPoP': 'dpop',
      client_secret_post: 'post',
      private_key_jwt: 'key',
      client_assertion: 'key',
      tls_client_auth: 'tls',
      self_signed_tls_client_auth: 'self',
      none: 'public',
    },
    refreshToken: (words) => provider.newRefreshToken((words as { client_id: string }).client_id),
    stop: provider.stop,
  };
}

export async function keycloakProvider(parts: Parts): Promise<Provider> {
  const spki = ({ publicKey }: Parts['own']) => publicKey.export({ type: 'spki', format: 'pem' }) as string;
  const keycloak = await startKeycloak({
    authority: parts.authority,
    clients: {
      key: { 'jwks.string': JSON.stringify(await jwksOf({ key: parts.own.publicKey, alg: 'ES256' })) },
    },
    identityProviders: {
      signer: { publicKeySignatureVerifier: spki(parts.signer) },
      cluster: { publicKeySignatureVerifier: spki(parts.cluster) },
      mesh: { bundleEndpoint: parts.bundleEndpoint },
    },
  });
  return {
    issuer: keycloak.issuer,
    clientClaim: 'azp',
    clients: {
      client_secret_basic: 'secret',
      'client_secret_basic + DPoP': 'dpop',
      client_secret_post: 'secret',
      private_key_jwt: 'key',
      client_assertion: 'federated',
      'client_assertion (SPIFFE)': 'workload',
      tls_client_auth: 'certificate',
      none: 'shop',
    },
    refreshToken: async (words) => (await passwordGrant(words)).refreshToken!.reveal(),
    stop: keycloak.stop,
  };
}

/** Of alice, for the app `shop`: what token exchange takes. */
export async function subjectToken({ issuer }: Provider, { authority }: Parts): Promise<string> {
  const words = { issuer, ca_file: authority.ca, client_id: 'shop', client_auth: 'none' };
  return (await passwordGrant(words)).accessToken.reveal();
}

/** Alice's login at Keycloak, for the client of these words. */
async function passwordGrant(words: object) {
  const config = sourceConfig({ client_credentials: words });
  assert.ok(config.type === 'client_credentials');
  const client = createOAuthClient(config, { clock: systemClock, env: {}, observer: nullObserver });
  const parameters = new URLSearchParams({ username: 'alice', password: 'alice', scope: 'openid' });
  try {
    return await client.requestToken({ grantType: 'password', parameters }, AbortSignal.timeout(10_000));
  } finally {
    await client.close();
  }
}
