// A real OpenID provider (oidc-provider) for people: code and device flow, refresh tokens that it rotates with each use,
// strictly or with a grace period. A test can hold token requests before and after the provider dealt with them.
import { createServer } from 'node:http';
import { exportJWK, generateKeyPair } from 'jose';
import Provider, { type Adapter, type AdapterPayload, type Configuration } from 'oidc-provider';
import { endServer } from './loopback.ts';

export const LOGIN_CLIENT = 'checkout';
/** Without a secret, as most native apps are. */
export const PUBLIC_CLIENT = 'checkout-native';
export const LOGIN_SECRET = 'login+secret/with:marks';
export const LOGIN_SCOPE = 'openid offline_access';

export interface LoginProviderOptions {
  /** A used refresh token may be used again for so long. Default 0: strict. */
  readonly graceMs?: number;
  /** Default 600. */
  readonly accessSeconds?: number;
}

export interface TokenCall {
  readonly grantType: string | null;
  readonly refreshToken: string | null;
}

export interface LoginProvider {
  readonly issuer: string;
  readonly provider: Provider;
  readonly calls: TokenCall[];
  /** Awaited before the provider sees a token request. */
  before: () => Promise<void> | void;
  /** Awaited when the provider has made its answer, before any of it is sent. */
  after: () => Promise<void> | void;
  /** A refresh token as after a login. */
  newRefreshToken(): Promise<string>;
  stop(): Promise<void>;
}

export async function startLoginProvider(options: LoginProviderOptions = {}): Promise<LoginProvider> {
  const { privateKey } = await generateKeyPair('RS256', { extractable: true });
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
  const provider = new Provider(
    issuer,
    configuration(options, { ...(await exportJWK(privateKey)), kid: 'k' }),
  );
  provider.on('server_error', (_context, error) => process.stderr.write(`login provider: ${error.stack}\n`));
  const handle = provider.callback();

  const started: LoginProvider = {
    issuer,
    provider,
    calls: [],
    before: () => {},
    after: () => {},
    async newRefreshToken() {
      const accountId = 'alice';
      const grant = new provider.Grant({ accountId, clientId: LOGIN_CLIENT });
      grant.addOIDCScope(LOGIN_SCOPE);
      const client = (await provider.Client.find(LOGIN_CLIENT))!;
      const token = new provider.RefreshToken({
        ...{ accountId, client, grantId: await grant.save(), scope: LOGIN_SCOPE },
        ...{ gty: 'authorization_code', expiresWithSession: false },
      } as never);
      return token.save();
    },
    stop: () => endServer(server),
  };

  server.on('request', (request, response) => {
    if (request.method !== 'POST' || request.url !== '/token') {
      void handle(request, response);
      return;
    }
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', async () => {
      const body = Buffer.concat(chunks);
      const form = new URLSearchParams(body.toString());
      started.calls.push({ grantType: form.get('grant_type'), refreshToken: form.get('refresh_token') });
      await started.before();
      // oidc-provider takes a body that was read before from here.
      Object.assign(request, { body: Object.fromEntries(form) });
      const end = response.end.bind(response) as (...args: unknown[]) => unknown;
      response.end = ((...args: unknown[]) => {
        void Promise.resolve(started.after()).then(() => end(...args));
        return response;
      }) as never;
      handle(request, response);
    });
  });
  return started;
}

const native = {
  application_type: 'native',
  grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
  // RFC 8252 section 7.3: of a loopback redirect any port counts.
  redirect_uris: ['http://127.0.0.1/callback'],
  token_endpoint_auth_method: 'client_secret_basic',
} as const;

function configuration(
  { graceMs = 0, accessSeconds = 600 }: LoginProviderOptions,
  key: object,
): Configuration {
  return {
    adapter: (name: string) => createAdapter(name, graceMs),
    clients: [
      { client_id: LOGIN_CLIENT, client_secret: LOGIN_SECRET, ...native },
      { client_id: PUBLIC_CLIENT, ...native, token_endpoint_auth_method: 'none' },
    ],
    cookies: { keys: ['of a test'] },
    jwks: { keys: [key] } as never,
    scopes: ['openid', 'offline_access'],
    pkce: { required: () => true },
    rotateRefreshToken: true,
    issueRefreshToken: () => true,
    findAccount: (_context, sub) => ({ accountId: sub, claims: async () => ({ sub }) }),
    ttl: {
      AccessToken: accessSeconds,
      RefreshToken: 30 * 86_400,
      DeviceCode: 60,
      Session: 600,
      Grant: 86_400,
    },
    features: { devInteractions: { enabled: true }, deviceFlow: { enabled: true } },
  } as Configuration;
}

/** In memory. What `consume` marks counts only after the grace period, as with providers that have one. */
function createAdapter(name: string, graceMs: number): Adapter {
  const entries = new Map<string, { payload: AdapterPayload; consumedFrom: number | undefined }>();
  const found = (match: (payload: AdapterPayload) => boolean) => {
    for (const { payload, consumedFrom } of entries.values()) {
      if (!match(payload)) continue;
      const isConsumed = consumedFrom !== undefined && Date.now() >= consumedFrom;
      return { ...payload, ...(isConsumed ? { consumed: Math.floor(consumedFrom! / 1000) } : {}) };
    }
    return undefined;
  };
  return {
    async upsert(id, payload) {
      entries.set(id, { payload: { ...payload, id }, consumedFrom: undefined });
    },
    find: async (id) => found((payload) => payload['id'] === id),
    findByUserCode: async (code) => found((payload) => payload.userCode === code),
    findByUid: async (uid) => found((payload) => payload.uid === uid),
    async consume(id) {
      const entry = entries.get(id);
      if (entry) entry.consumedFrom = Date.now() + (name === 'RefreshToken' ? graceMs : 0);
    },
    async destroy(id) {
      entries.delete(id);
    },
    async revokeByGrantId(grantId) {
      for (const [id, { payload }] of entries) if (payload.grantId === grantId) entries.delete(id);
    },
  };
}
