// A real OpenID provider (oidc-provider) on loopback, that can be slow, go away and come back.
import { createServer, type Server } from 'node:http';
import { exportJWK, generateKeyPair, type JSONWebKeySet } from 'jose';
import Provider, { type Adapter } from 'oidc-provider';
import { endServer } from '../test/support/loopback.ts';

export interface IdentityProvider {
  readonly issuer: string;
  /** Lines of a source's configuration that name it. Default: its issuer. */
  readonly place?: string;
  /** Public keys, as at jwks_uri. */
  readonly jwks: JSONWebKeySet;
  /** Token requests so far, refused ones too. */
  readonly tokenCalls: number;
  /** Added to each token answer, milliseconds. */
  delayMs: number;
  /** Closes the port; connections end. */
  stop(): Promise<void>;
  /** On the same port again. */
  start(): Promise<void>;
}

export interface IdentityProviderOptions {
  readonly clientId: string;
  readonly clientSecret: string;
  readonly audience: string;
  readonly scope: string;
  /** Default: a free one. */
  readonly port?: number;
  /** Default 600. */
  readonly lifetimeSeconds?: number;
}

const nothing = () => Promise.resolve(undefined);

/** Signed tokens for a client need no memory, and oidc-provider's own warns that it is not for production. */
class Forgetful implements Adapter {
  readonly upsert = nothing;
  readonly find = nothing;
  readonly findByUid = nothing;
  readonly findByUserCode = nothing;
  readonly consume = nothing;
  readonly destroy = nothing;
  readonly revokeByGrantId = nothing;
}

export async function startIdentityProvider(options: IdentityProviderOptions): Promise<IdentityProvider> {
  const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true });
  const common = { kid: 'demo', use: 'sig', alg: 'RS256' };
  const jwks = { keys: [{ ...(await exportJWK(publicKey)), ...common }] };
  let handle: (request: never, response: never) => void = () => {};
  let server: Server | undefined;
  let tokenCalls = 0;
  let delayMs = 0;

  async function listen(port: number): Promise<number> {
    const next = createServer((request, response) => {
      const isToken = request.method === 'POST' && request.url === '/token';
      if (isToken) tokenCalls++;
      setTimeout(() => handle(request as never, response as never), isToken ? delayMs : 0);
    });
    await new Promise<void>((resolve, reject) => {
      next.once('error', reject);
      next.listen(port, '127.0.0.1', resolve);
    });
    server = next;
    return (next.address() as { port: number }).port;
  }

  const port = await listen(options.port ?? 0);
  const issuer = `http://127.0.0.1:${port}`;
  const provider = new Provider(issuer, {
    adapter: Forgetful,
    clients: [
      {
        client_id: options.clientId,
        client_secret: options.clientSecret,
        grant_types: ['client_credentials'],
        response_types: [],
        redirect_uris: [],
        token_endpoint_auth_method: 'client_secret_basic',
      },
    ],
    jwks: { keys: [{ ...(await exportJWK(privateKey)), ...common }] } as never,
    // Its notices about defaults are for production.
    ttl: { ClientCredentials: options.lifetimeSeconds ?? 600 },
    scopes: [options.scope],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => `urn:${options.audience}`,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: options.scope,
          audience: options.audience,
          accessTokenTTL: options.lifetimeSeconds ?? 600,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
  });
  provider.on('server_error', (_context, error) =>
    process.stderr.write(`identity provider: ${error.message}\n`),
  );
  handle = provider.callback() as never;

  return {
    issuer,
    jwks,
    get tokenCalls() {
      return tokenCalls;
    },
    get delayMs() {
      return delayMs;
    },
    set delayMs(value) {
      delayMs = value;
    },
    async stop() {
      const closing = server;
      server = undefined;
      if (!closing) return;
      await endServer(closing);
    },
    async start() {
      if (!server) await listen(port);
    },
  };
}
