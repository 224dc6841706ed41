// A real OpenID provider (oidc-provider) over TLS that knows every client authentication, with clients of the test's own.
import { type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { exportJWK, generateKeyPair } from 'jose';
import Provider from 'oidc-provider';
import type { Authority } from '../../demo/certificates.ts';
import { endServer } from './loopback.ts';

export interface OpenIdProvider {
  readonly issuer: string;
  readonly tokenEndpoint: string;
  /** Of the token endpoint, refused requests too. */
  readonly tokenCalls: number;
  /** A refresh token for the audience, as after a login of alice. */
  newRefreshToken(clientId: string): Promise<string>;
  stop(): Promise<void>;
}

export interface OpenIdProviderOptions {
  /** Its server certificate is by this authority, and so are those of tls_client_auth. */
  readonly authority: Authority;
  /** In the words of OpenID Connect Dynamic Client Registration; grant_types etc. are filled in. */
  readonly clients: readonly Readonly<Record<string, unknown>>[];
  /** DPoP proofs need its nonce (RFC 9449 section 8). */
  readonly dpopNonce?: boolean;
  /** Its metadata list only these. Default: all. */
  readonly clientAuthMethods?: readonly string[];
  /** Default: any free one. */
  readonly port?: number;
  /** For JWT access tokens. Default `urn:orders`. */
  readonly audience?: string;
}

const METHODS = [
  'client_secret_basic',
  'client_secret_post',
  'private_key_jwt',
  'tls_client_auth',
  'self_signed_tls_client_auth',
  'none',
];

const LOGIN_SCOPE = 'openid offline_access';

export async function startOpenIdProvider(options: OpenIdProviderOptions): Promise<OpenIdProvider> {
  const {
    authority,
    clients,
    dpopNonce = false,
    clientAuthMethods = METHODS,
    audience = 'urn:orders',
  } = options;
  const certificate = await authority.issue('localhost', 'server');
  let handle: (request: never, response: never) => void = () => {};
  let tokenCalls = 0;
  const server = createServer(
    {
      cert: readFileSync(certificate.cert),
      key: readFileSync(certificate.key),
      ca: readFileSync(authority.ca),
      requestCert: true,
      // Whether it is by the authority is asked for where it counts: self-signed ones are welcome too.
      rejectUnauthorized: false,
    },
    (request, response) => {
      if (request.method === 'POST' && request.url === '/token') tokenCalls++;
      handle(request as never, response as never);
    },
  );
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  const issuer = `https://localhost:${(server.address() as { port: number }).port}`;
  const { privateKey } = await generateKeyPair('RS256', { extractable: true });
  const provider = new Provider(issuer, {
    clients: clients.map((client) => ({
      grant_types: ['client_credentials', 'authorization_code', 'refresh_token'],
      response_types: ['code'],
      redirect_uris: ['https://checkout.example.com/callback'],
      ...client,
    })) as never,
    jwks: { keys: [{ ...(await exportJWK(privateKey)), kid: 'p', use: 'sig', alg: 'RS256' }] } as never,
    clientAuthMethods: clientAuthMethods as never,
    scopes: ['openid', 'offline_access', 'orders.read'],
    cookies: { keys: ['of a test'] },
    findAccount: (_context, sub) => ({ accountId: sub, claims: async () => ({ sub }) }),
    ttl: { AccessToken: 600, ClientCredentials: 600, RefreshToken: 86_400, Grant: 86_400 },
    clientBasedCORS: () => false,
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      dPoP: { enabled: true, nonceSecret: Buffer.alloc(32, 7), requireNonce: () => dpopNonce },
      mTLS: {
        enabled: true,
        certificateBoundAccessTokens: true,
        selfSignedTlsClientAuth: true,
        tlsClientAuth: true,
        getCertificate: (context: never) => peerCertificate(context)?.toString(),
        certificateAuthorized: (context: never) => socketOf(context).authorized,
        certificateSubjectMatches: (context: never, property: string, expected: string) =>
          property === 'tls_client_auth_san_dns' &&
          peerCertificate(context)?.checkHost(expected) !== undefined,
      },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => audience,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: 'orders.read',
          audience,
          accessTokenTTL: 600,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    } as never,
  });
  provider.on('server_error', (_context, error) =>
    process.stderr.write(`identity provider: ${error.message}\n`),
  );
  handle = provider.callback() as never;
  return {
    issuer,
    tokenEndpoint: `${issuer}/token`,
    get tokenCalls() {
      return tokenCalls;
    },
    async newRefreshToken(clientId) {
      const accountId = 'alice';
      const grant = new provider.Grant({ accountId, clientId });
      grant.addOIDCScope(LOGIN_SCOPE);
      grant.addResourceScope(audience, 'orders.read');
      const client = (await provider.Client.find(clientId))!;
      const scope = `${LOGIN_SCOPE} orders.read`;
      const token = new provider.RefreshToken({
        ...{ accountId, client, grantId: await grant.save(), scope, resource: audience },
        ...{ gty: 'authorization_code', expiresWithSession: false },
      } as never);
      return token.save();
    },
    stop: () => endServer(server),
  };
}

/** A client's key as its registration names it. */
export async function jwksOf(...keys: readonly { key: KeyObject; kid?: string; alg?: string }[]) {
  return {
    keys: await Promise.all(
      keys.map(async ({ key, kid, alg }) => ({
        ...(await exportJWK(key)),
        use: 'sig',
        ...(kid === undefined ? {} : { kid }),
        ...(alg === undefined ? {} : { alg }),
      })),
    ),
  };
}

function socketOf(context: { req: { socket: TLSSocket } }): TLSSocket {
  return context.req.socket;
}

function peerCertificate(context: never): X509Certificate | undefined {
  const raw = socketOf(context).getPeerCertificate().raw as Buffer | undefined;
  return raw === undefined ? undefined : new X509Certificate(raw);
}
