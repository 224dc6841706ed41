// token: { exchange }: the app gets another token in place of the caller's, by a real provider (oidc-provider).
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startExchangeProvider } from '../../support/exchange-provider.ts';
import { inboundRequest } from '../../support/inbound-messages.ts';
import { goodClaims, ISSUER, startInbound } from '../../support/inbound-world.ts';
import { signToken } from '../../support/token-issuer.ts';
import { until } from '../../support/until.ts';

interface Options {
  /** Of the policy. */
  readonly more?: string;
  readonly policies?: string;
  readonly inbound?: string;
  readonly audience?: string;
  /** Beside sources and inbound. */
  readonly settings?: string;
  readonly files?: Readonly<Record<string, string>>;
}

async function start(t: TestContext, options: Options = {}) {
  const { more = '', policies = '', inbound = '', audience = 'urn:internal', settings = '', files } = options;
  const provider = await startExchangeProvider({ clientId: 'gateway', clientSecret: 'gateway-secret' });
  t.after(() => provider.stop());
  const { issuer } = provider;
  const client = 'client_id: gateway, client_secret: { inline: gateway-secret }';
  const world = await startInbound(
    t,
    `
  issuers:
    users: { issuer: "${issuer}", audience: orders }
    idp: { issuer: "${ISSUER}", jwks_file: jwks.json, audience: orders }
    opaque: { audience: orders, introspection: { endpoint: "${issuer}/token/introspection", ${client} } }
${inbound}  policies:${policies}
    - { name: api, match: {}, forward: { x-user: sub }, token: { exchange: internal }${more} }
`,
    files,
    {
      settings: `${settings}sources:\n  internal: { token_exchange: { issuer: "${issuer}", ${client}, audience: ${audience} } }\n`,
    },
  );
  return {
    provider,
    world,
    token: (name: string, claims = {}) => provider.userToken(name, 600, { aud: 'orders', ...claims }),
    claimsOf: async (authorization: string | undefined) => {
      assert.match(authorization ?? '', /^Bearer /);
      return provider.verify(authorization!.slice(7));
    },
  };
}

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
const call = { timeoutMs: 2_000, signal: new AbortController().signal };

test('each caller’s token becomes one of the app’s own audience, exchanged once; a warm Check is synchronous', async (t) => {
  const { provider, world, token, claimsOf } = await start(t);
  const callers = Array.from({ length: 10 }, (_, i) => `user-${i}`);
  const tokens = await Promise.all(callers.map((name) => token(name)));
  for (let round = 0; round < 3; round++) {
    await Promise.all(
      callers.map(async (name, i) => {
        const answer = await world.bearer(tokens[i]!, { headers: { dpop: 'x' } });
        assert.equal(answer.status, 200);
        assert.deepEqual([answer.set['x-user'], answer.removed], [name, ['dpop']]);
        const { sub, aud } = await claimsOf(answer.set['authorization']);
        assert.deepEqual([sub, aud], [name, 'urn:internal']);
      }),
    );
  }
  assert.equal(provider.calls, callers.length);
  const warm = world.door.check(inboundRequest(bearer(tokens[0]!)), call);
  assert.ok(warm instanceof Uint8Array);
});

test('a hundred first requests of one caller at once are one exchange', async (t) => {
  const { provider, world, token } = await start(t);
  provider.delayMs = 100;
  const ann = await token('ann');
  const answers = await Promise.all(Array.from({ length: 100 }, () => world.bearer(ann)));
  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
  assert.equal(new Set(answers.map(({ set }) => set['authorization'])).size, 1);
  assert.equal(provider.calls, 1);
});

test('without an exchanged token in time 503 before Envoy gives up; what comes late serves the next one', async (t) => {
  const { provider, world, token } = await start(t);
  const ann = await token('ann');
  provider.delayMs = 1_800;
  const begun = performance.now();
  const answer = await world.ask(bearer(ann), 1_500);
  const ms = performance.now() - begun;
  t.diagnostic(`${ms.toFixed(0)} ms`);
  assert.ok(ms < 1_500, `${ms} ms`);
  assert.equal(answer.status, 503);
  assert.ok(Number(answer.headers['retry-after']) >= 1);
  assert.equal(answer.set['authorization'], undefined);
  assert.deepEqual(world.reasons(), ['exchange_unavailable']);
  provider.delayMs = 0;
  assert.equal((await world.bearer(ann)).status, 200);
  assert.equal(provider.calls, 1);
});

test('a caller whom the provider refuses gets 401, and the provider is not asked again at once', async (t) => {
  const { provider, world } = await start(t);
  const foreign = signToken(world.key, goodClaims());
  for (let i = 0; i < 3; i++) {
    const { status, headers, set } = await world.bearer(foreign);
    assert.deepEqual([status, set], [401, {}]);
    assert.match(headers['www-authenticate']!, /error="invalid_token"/);
  }
  assert.deepEqual([...new Set(world.reasons())], ['exchange_rejected']);
  assert.equal(provider.calls, 1);
});

test('a provider that is away, or refuses us rather than the caller, is no fault of the caller’s: 503', async (t) => {
  const away = await start(t);
  away.provider.status = 503;
  const refused = await start(t, { audience: 'forbidden' });
  for (const { world, token } of [away, refused]) {
    const { status, headers } = await world.bearer(await token('ann'));
    assert.equal(status, 503);
    assert.ok(Number(headers['retry-after']) >= 1);
    assert.deepEqual(world.reasons(), ['exchange_unavailable']);
  }
});

test('a revoked or ended token of the caller gets nothing, although the exchanged one is there', async (t) => {
  const revocation = '  revocation: { file: revoked.jsonl }\n';
  const { world, token } = await start(t, { inbound: revocation, files: { 'revoked.jsonl': '\n' } });
  const stolen = await token('ann', { jti: 'stolen' });
  const bob = await token('bob');
  assert.deepEqual([(await world.bearer(stolen)).status, (await world.bearer(bob)).status], [200, 200]);
  world.write('revoked.jsonl', '{"jti":"stolen"}\n');
  const begun = performance.now();
  while ((await world.bearer(stolen)).status === 200) await sleep(10);
  assert.ok(performance.now() - begun < 1_000);
  assert.equal(world.reasons().at(-1), 'token_revoked');
  world.clockOffsetMs = 700_000;
  assert.equal((await world.bearer(bob)).status, 401);
  assert.equal(world.reasons().at(-1), 'token_expired');
});

test('a token that is revoked while it is exchanged gets nothing', async (t) => {
  const revocation = '  revocation: { file: revoked.jsonl }\n';
  const { provider, world, token } = await start(t, {
    inbound: revocation,
    files: { 'revoked.jsonl': '\n' },
  });
  provider.delayMs = 1_500;
  const asked = world.ask(bearer(await token('ann', { jti: 'stolen' })), 10_000);
  world.write('revoked.jsonl', '{"jti":"stolen"}\n');
  const { status, set } = await asked;
  assert.deepEqual([status, set], [401, {}]);
  assert.deepEqual([world.reasons(), provider.calls], [['token_revoked'], 1]);
});

test('a token that is bound to its sender is refused, and never sent to the provider', async (t) => {
  const { provider, world, token } = await start(t);
  for (const cnf of [{ jkt: 'x'.repeat(43) }, { 'x5t#S256': 'x'.repeat(43) }]) {
    const bound = await token('ann', { cnf });
    for (const scheme of ['Bearer', 'DPoP']) {
      const answer = await world.ask({ headers: { authorization: `${scheme} ${bound}` } });
      assert.deepEqual([answer.status, answer.set], [401, {}]);
    }
  }
  assert.deepEqual([...new Set(world.reasons())], ['token_binding']);
  assert.equal(provider.calls, 0);
});

test('an opaque token is introspected, then exchanged', async (t) => {
  const { provider, world, claimsOf } = await start(t);
  const opaque = await provider.opaqueToken('ann');
  for (let i = 0; i < 2; i++) {
    const { status, set } = await world.bearer(opaque);
    assert.equal(status, 200);
    assert.equal((await claimsOf(set['authorization']))['sub'], 'ann');
  }
  assert.equal(provider.calls, 1);
});

test('introspection and exchange together wait no longer than one call may', async (t) => {
  const { provider, world } = await start(t);
  const opaque = await provider.opaqueToken('ann');
  provider.delayMs = 900;
  const begun = performance.now();
  const { status } = await world.ask(bearer(opaque), 2_000);
  const ms = performance.now() - begun;
  t.diagnostic(`${ms.toFixed(0)} ms`);
  assert.ok(ms >= 1_200 && ms < 2_000, `${ms} ms`);
  assert.deepEqual([status, world.reasons()], [503, ['exchange_unavailable']]);
});

test('a flood of new callers is not passed on to the provider, and those who were here notice nothing', async (t) => {
  const { provider, world, token } = await start(t, {
    settings: 'limits: { first_fetches_per_second: 5 }\n',
  });
  const ann = await token('ann');
  assert.equal((await world.bearer(ann)).status, 200);
  const flood = await Promise.all(Array.from({ length: 100 }, (_, i) => token(`user-${i}`)));
  const answers = await Promise.all([...flood.map((one) => world.bearer(one)), world.bearer(ann)]);
  assert.equal(answers.at(-1)!.status, 200);
  assert.ok(provider.calls < 30, `${provider.calls} calls`);
  assert.deepEqual([...new Set(world.reasons())], ['exchange_unavailable']);
});

test('in shadow the request goes on at once as it came, and what the exchange would have done is told', async (t) => {
  const { provider, world, token } = await start(t, { more: ', mode: shadow' });
  provider.delayMs = 1_000;
  const begun = performance.now();
  const answers = [
    await world.bearer(await token('ann')),
    await world.bearer(signToken(world.key, goodClaims())),
  ];
  assert.ok(performance.now() - begun < 1_000);
  for (const { status, set } of answers) assert.deepEqual([status, set], [200, {}]);
  await until('the verdict', () => world.reasons().length > 0);
  assert.deepEqual(
    world.told.named('inboundRefused').map(([policy, reason, , mode]) => [policy, reason, mode]),
    [['api', 'exchange_rejected', 'shadow']],
  );
});

test('the same token on routes that pass, remove and exchange it has each its own answer, whatever came before', async (t) => {
  const { world, token } = await start(t, {
    policies: `
    - { name: pass, match: { paths: [/pass/] } }
    - { name: remove, match: { paths: [/remove/] }, token: remove }
    - { name: cors, match: { paths: [/cors/] }, token: { exchange: internal }, cors: { origins: ["https://app.example.com"] } }`,
  });
  const ann = await token('ann');
  const origin = 'https://app.example.com';
  const seen = async (path: string) => {
    const headers = { authorization: `Bearer ${ann}`, ...(path === '/cors/' ? { origin } : {}) };
    const answer = await world.ask({ path, headers });
    const { set, removed } = answer;
    return [
      answer.status,
      'authorization' in set,
      set['x-user'],
      removed,
      'access-control-allow-origin' in answer.headers,
    ];
  };
  for (let i = 0; i < 3; i++) {
    assert.deepEqual(await seen('/'), [200, true, 'ann', ['dpop'], false]);
    assert.deepEqual(await seen('/pass/'), [200, false, undefined, ['x-user'], false]);
    assert.deepEqual(await seen('/cors/'), [200, true, undefined, ['x-user', 'dpop'], true]);
    assert.deepEqual(await seen('/remove/'), [
      200,
      false,
      undefined,
      ['x-user', 'authorization', 'dpop'],
      false,
    ]);
  }
});

test('what the limit of a caller refuses is not exchanged', async (t) => {
  const { provider, world, token } = await start(t, { more: ', rate_limit: { requests: 1, per: 1h }' });
  const statuses = [];
  for (const mark of ['a', 'b', 'c'])
    statuses.push((await world.bearer(await token('ann', { mark }))).status);
  assert.deepEqual(statuses, [200, 429, 429]);
  assert.equal(provider.calls, 1);
});
