// Opaque tokens of a real OpenID provider (oidc-provider), asked for at its introspection endpoint (RFC 7662).
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import Provider from 'oidc-provider';
import { startInbound } from '../../support/inbound-world.ts';

const CACHE_MS = 1_500;
const basic = (client: string) => ({
  authorization: `Basic ${Buffer.from(`${client}:secret`).toString('base64')}`,
});

async function start(t: TestContext, cacheMs = CACHE_MS) {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stop = () => {
    server.close();
    server.closeAllConnections();
  };
  t.after(stop);
  const issuer = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
  const client = (client_id: string, grant_types: string[]) => ({
    ...{ client_id, client_secret: 'secret', grant_types, response_types: [], redirect_uris: [] },
  });
  const provider = new Provider(issuer, {
    clients: [client('shop', ['client_credentials']), client('gateway', [])] as never,
    scopes: ['read'],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      revocation: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => 'urn:orders',
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          ...{ scope: 'read', audience: 'orders', accessTokenTTL: 300, accessTokenFormat: 'opaque' },
        }),
      },
    },
  });
  let asked = 0;
  const handle = provider.callback();
  server.on('request', (request, response) => {
    if (request.url === '/token/introspection') asked++;
    void handle(request, response);
  });
  const post = async (path: string, client: string, form: Record<string, string>) =>
    fetch(`${issuer}${path}`, { method: 'POST', headers: basic(client), body: new URLSearchParams(form) });
  const world = await startInbound(
    t,
    `
  issuers:
    opaque:
      audience: orders
      introspection: { endpoint: "${issuer}/token/introspection", client_id: gateway, client_secret: { inline: secret }, cache: ${cacheMs}ms }
  policies: [{ name: api, match: {}, scopes: [read], forward: { x-client: client_id } }]
`,
  );
  return {
    world,
    stop,
    asked: () => asked,
    async token() {
      const answer = await post('/token', 'shop', { grant_type: 'client_credentials', scope: 'read' });
      return ((await answer.json()) as { access_token: string }).access_token;
    },
    revoke: (token: string) => post('/token/revocation', 'shop', { token }),
  };
}

test('an active token is let in and asked for once; one that the provider never gave is refused', async (t) => {
  const { world, token, asked } = await start(t, 60_000);
  const active = await token();
  for (let i = 0; i < 20; i++) {
    const { status, set } = await world.bearer(active);
    assert.deepEqual([status, set], [200, { 'x-client': 'shop' }]);
  }
  assert.equal(asked(), 1);
  assert.equal((await world.bearer(`${active.slice(0, -3)}abc`)).status, 401);
  assert.deepEqual(world.reasons(), ['token_inactive']);
});

test('a token revoked at the provider is refused when the cached answer has ended', async (t) => {
  const { world, token, revoke } = await start(t);
  const given = await token();
  assert.equal((await world.bearer(given)).status, 200);
  assert.equal((await revoke(given)).status, 200);
  const begun = performance.now();
  while ((await world.bearer(given)).status !== 401) {
    assert.ok(performance.now() - begun < CACHE_MS + 20_000, 'still let in');
    await sleep(10);
  }
  assert.equal(world.reasons().at(-1), 'token_inactive');
});

test('while the provider is away what it said counts as long as it may, and nothing new is let in', async (t) => {
  const { world, token, stop } = await start(t);
  const [known, unknown] = [await token(), await token()];
  assert.equal((await world.bearer(known)).status, 200);
  stop();
  assert.equal((await world.bearer(known)).status, 200);
  const refused = await world.bearer(unknown);
  assert.deepEqual([refused.status, world.reasons().at(-1)], [503, 'keys_unavailable']);
  await sleep(CACHE_MS + 50);
  assert.notEqual((await world.bearer(known)).status, 200);
});
