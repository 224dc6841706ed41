// A real OpenID provider (oidc-provider) with RFC 8693 as a grant of its own, and users whose tokens it signs.
import { createServer } from 'node:http';
import { createLocalJWKSet, exportJWK, generateKeyPair, jwtVerify, SignJWT } from 'jose';
import Provider, { errors } from 'oidc-provider';
import { endServer } from './loopback.ts';

const GRANT_TYPE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const JWT_TYPE = 'urn:ietf:params:oauth:token-type:access_token';
const PARAMETERS = [
  'subject_token',
  'subject_token_type',
  'actor_token',
  'actor_token_type',
  'requested_token_type',
  'audience',
  'resource',
  'scope',
];

export interface ExchangeProvider {
  readonly issuer: string;
  /** Exchanges so far, refused ones too. */
  readonly calls: number;
  /** Of the last exchange. */
  readonly lastForm: Readonly<Record<string, unknown>>;
  /** Added to each answer to a token request and an introspection, milliseconds. */
  delayMs: number;
  /** The answer to all of these instead, while it is stated. */
  status: number | undefined;
  /** A token of this user, as it would come with a request. Default life 600 s. */
  userToken(
    name: string,
    lifetimeSeconds?: number,
    claims?: Readonly<Record<string, unknown>>,
  ): Promise<string>;
  /** An opaque token of this user for the audience `orders`, which only introspection tells of. */
  opaqueToken(name: string): Promise<string>;
  /** The claims of a token that this provider issued; rejects for any other. */
  verify(token: string): Promise<Readonly<Record<string, unknown>>>;
  stop(): Promise<void>;
}

export interface ExchangeProviderOptions {
  readonly clientId: string;
  readonly clientSecret: string;
  /** Of exchanged tokens. Default 600. */
  readonly lifetimeSeconds?: number;
}

export async function startExchangeProvider(options: ExchangeProviderOptions): Promise<ExchangeProvider> {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  const common = { kid: 'k', use: 'sig', alg: 'ES256' };
  const keys = createLocalJWKSet({ keys: [{ ...(await exportJWK(publicKey)), ...common }] });
  let handle: (request: never, response: never) => void = () => {};
  const state = { calls: 0, lastForm: {}, delayMs: 0, status: undefined as number | undefined };

  const server = createServer((request, response) => {
    const isToken = request.url!.startsWith('/token');
    if (isToken && state.status !== undefined) {
      response.writeHead(state.status).end();
      return;
    }
    setTimeout(() => handle(request as never, response as never), isToken ? state.delayMs : 0);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
  const lifetimeSeconds = options.lifetimeSeconds ?? 600;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: options.clientId,
        client_secret: options.clientSecret,
        grant_types: [GRANT_TYPE],
        response_types: [],
        redirect_uris: [],
        token_endpoint_auth_method: 'client_secret_basic',
        id_token_signed_response_alg: 'ES256',
      },
    ],
    jwks: { keys: [{ ...(await exportJWK(privateKey)), ...common }] } as never,
    features: {
      devInteractions: { enabled: false },
      introspection: { enabled: true, allowedPolicy: () => true },
      resourceIndicators: { enabled: true },
    },
    clientBasedCORS: () => false,
    ttl: { AccessToken: lifetimeSeconds },
    extraTokenClaims: async (context) => {
      const actor = context?.oidc.params?.['actor_token'];
      return actor === undefined ? undefined : { act: { sub: await subjectOf(actor) } };
    },
  });

  async function subjectOf(token: unknown): Promise<string> {
    const verified = await jwtVerify(String(token), keys, { issuer }).catch(() => undefined);
    // RFC 8693 section 2.2.2.
    const subject = verified?.payload.sub ?? (await provider.AccessToken.find(String(token)))?.accountId;
    if (subject === undefined) throw new errors.InvalidRequest('the subject token is not valid');
    return subject;
  }

  provider.registerGrantType(
    GRANT_TYPE,
    async (context) => {
      state.calls++;
      const form = context.oidc.params!;
      state.lastForm = { ...form };
      const accountId = await subjectOf(form['subject_token']);
      if (form['audience'] === 'forbidden') throw new errors.InvalidTarget('not for this client');
      const token = new provider.AccessToken({
        client: context.oidc.client!,
        accountId,
        grantId: accountId,
        scope: (form['scope'] as string | undefined) ?? '',
        gty: 'token_exchange',
      } as never);
      const audience = String(form['audience'] ?? form['resource'] ?? 'urn:api');
      token.resourceServer = new provider.ResourceServer(audience, {
        scope: '',
        audience,
        accessTokenTTL: lifetimeSeconds,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'ES256' } },
      });
      const value = await token.save();
      context.body = {
        access_token: value,
        issued_token_type: JWT_TYPE,
        token_type: 'Bearer',
        expires_in: token.expiration,
      };
    },
    PARAMETERS,
  );
  provider.on('server_error', (_context, error) => process.stderr.write(`${error.stack}\n`));
  handle = provider.callback() as never;

  return {
    issuer,
    get calls() {
      return state.calls;
    },
    get lastForm() {
      return state.lastForm;
    },
    get delayMs() {
      return state.delayMs;
    },
    set delayMs(value) {
      state.delayMs = value;
    },
    get status() {
      return state.status;
    },
    set status(value) {
      state.status = value;
    },
    async opaqueToken(accountId) {
      const client = (await provider.Client.find(options.clientId))!;
      const token = new provider.AccessToken({ client, accountId, scope: 'orders', gty: 'login' } as never);
      token.resourceServer = new provider.ResourceServer('orders', {
        ...{ scope: 'orders', audience: 'orders', accessTokenTTL: lifetimeSeconds },
        accessTokenFormat: 'opaque',
      });
      return token.save();
    },
    userToken: (name, lifetime = 600, claims = {}) =>
      new SignJWT({ sub: name, ...claims })
        .setProtectedHeader({ alg: 'ES256', kid: 'k' })
        .setIssuer(issuer)
        .setIssuedAt()
        .setExpirationTime(`${lifetime}s`)
        .sign(privateKey),
    verify: async (token) => (await jwtVerify(token, keys, { issuer })).payload,
    stop: () => endServer(server),
  };
}
