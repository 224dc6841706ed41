// Tokens at the inbound door, in this process: what lets a caller in and what never does.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { goodClaims, startInbound } from '../../support/inbound-world.ts';
import { createTestKey, jwkSet, macToken, part, signatureOf, signToken } from '../../support/token-issuer.ts';

test('a good token is let in, with the verified claim in place of what the caller sent', async (t) => {
  const world = await startInbound(t);
  const answer = await world.bearer(world.token(), { headers: { 'x-user': 'root' } });
  assert.deepEqual(answer, { status: 200, headers: {}, set: { 'x-user': 'alice' }, removed: [], body: '' });
});

test('a second request with the same token is answered at once, without a promise', async (t) => {
  const world = await startInbound(t);
  const token = world.token();
  await world.bearer(token);
  const { inboundRequest } = await import('../../support/inbound-messages.ts');
  const answer = world.door.check(inboundRequest({ headers: { authorization: `Bearer ${token}` } }), {
    timeoutMs: 1_000,
    signal: new AbortController().signal,
  });
  assert.ok(answer instanceof Uint8Array);
});

test('what is told of a refusal has the path without its query', async (t) => {
  const world = await startInbound(t);
  await world.ask({ path: '/v1/x?access_token=secret', address: '10.0.0.9' });
  assert.deepEqual(world.told.named('inboundRefused')[0]![4], {
    ...{ method: 'GET', path: '/v1/x', status: 401, address: '10.0.0.9' },
  });
});

test('without a credential the challenge names no error; with a wrong one the body tells nothing of why', async (t) => {
  const world = await startInbound(t);
  const none = await world.ask({});
  assert.equal(none.status, 401);
  assert.equal(none.headers['www-authenticate'], 'Bearer realm="bearerd"');
  const bodies = new Set<string>();
  for (const token of ['x', world.token({ exp: 1 }), world.token({ aud: 'other' }), 'a.b.c']) {
    const { status, headers, body } = await world.bearer(token);
    assert.equal(status, 401);
    assert.equal(headers['www-authenticate'], 'Bearer realm="bearerd", error="invalid_token"');
    const { decision, ...rest } = JSON.parse(body);
    assert.equal(decision, headers['x-bearerd-decision']);
    bodies.add(JSON.stringify(rest));
  }
  assert.deepEqual([...bodies], ['{"error":"invalid_token"}']);
  // The id of the answer is that of the log.
  assert.equal(world.told.named('inboundRefused').length, 5);
});

describe('each of these is refused', () => {
  const other = createTestKey('one');
  const now = () => Math.floor(Date.now() / 1_000);
  const public_ = (key: ReturnType<typeof createTestKey>) => Buffer.from(JSON.stringify(key.jwk));
  type World = Awaited<ReturnType<typeof startInbound>>;
  const attacks: Record<string, [make: (world: World) => string, reason: string]> = {
    'the public key as HMAC secret': [
      (w) => macToken(public_(w.key), goodClaims(), { kid: 'one' }),
      'token_algorithm',
    ],
    'alg none': [() => `${part({ alg: 'none' })}.${part(goodClaims())}.`, 'token_malformed'],
    'alg NONE with a signature': [
      () => `${part({ alg: 'NONE' })}.${part(goodClaims())}.AAAA`,
      'token_algorithm',
    ],
    'an algorithm not on the list': [(w) => w.token({}, { alg: 'RS512' }), 'token_algorithm'],
    'no alg': [(w) => w.token({}, { alg: undefined }), 'token_malformed'],
    'an unknown crit': [(w) => w.token({}, { crit: ['exp'] }), 'token_malformed'],
    'another key with the right kid': [() => signToken(other, goodClaims()), 'token_signature'],
    'an unknown kid': [() => signToken({ ...other, kid: 'two' }, goodClaims()), 'token_key'],
    'a kid that is a path': [(w) => w.token({}, { kid: '../../dev/null' }), 'token_key'],
    'a kid that is a number': [(w) => w.token({}, { kid: 1 }), 'token_malformed'],
    'its own key in the header': [
      () => signToken(createTestKey('x'), goodClaims(), { jwk: other.jwk, kid: undefined }),
      'token_signature',
    ],
    'five parts': [(w) => `${w.token()}.x.y`, 'token_malformed'],
    'two parts': [(w) => w.token().split('.').slice(0, 2).join('.'), 'token_malformed'],
    padding: [(w) => `${w.token()}==`, 'token_malformed'],
    'a tampered payload': [
      (w) => {
        const [head, , signature] = w.token().split('.');
        return `${head}.${part({ ...goodClaims(), sub: 'root' })}.${signature}`;
      },
      'token_signature',
    ],
    'an unused bit in the last letter': [
      (w) => {
        const [head, payload, signature] = w.token().split('.') as [string, string, string];
        const next = String.fromCharCode(signature.charCodeAt(signature.length - 1) + 1);
        return `${head}.${payload}.${signature.slice(0, -1)}${next}`;
      },
      'token_malformed',
    ],
    'a claim twice': [
      (w) => {
        const text = JSON.stringify(goodClaims()).replace('{', '{"sub":"root",');
        return signToken(w.key, text);
      },
      'token_malformed',
    ],
    'a claim twice, once with an escape': [
      (w) => signToken(w.key, JSON.stringify(goodClaims()).replace('{', '{"s\\u0075b":"root",')),
      'token_malformed',
    ],
    'claims that are a list': [(w) => signToken(w.key, '[]'), 'token_malformed'],
    'expired beyond the leeway': [(w) => w.token({ exp: now() - 31 }), 'token_expired'],
    'no exp': [(w) => w.token({ exp: undefined }), 'token_malformed'],
    'exp as a text': [(w) => w.token({ exp: String(now() + 60) }), 'token_malformed'],
    'nbf ahead': [(w) => w.token({ nbf: now() + 90 }), 'token_not_yet_valid'],
    'iat ahead': [(w) => w.token({ iat: now() + 90 }), 'token_not_yet_valid'],
    'another issuer': [(w) => w.token({ iss: 'https://evil.example.com' }), 'token_issuer'],
    'no issuer': [(w) => w.token({ iss: undefined }), 'token_issuer'],
    'another audience': [(w) => w.token({ aud: ['payments'] }), 'token_audience'],
    'no audience': [(w) => w.token({ aud: undefined }), 'token_audience'],
    'another typ': [(w) => w.token({}, { typ: 'dpop+jwt' }), 'token_type'],
    'more than 16 KiB': [(w) => w.token({ filler: 'x'.repeat(17_000) }), 'token_malformed'],
  };
  for (const [name, [make, reason]] of Object.entries(attacks)) {
    test(name, async (t) => {
      const world = await startInbound(t);
      // A good one first, so that nothing of it in a cache helps a bad one.
      assert.equal((await world.bearer(world.token())).status, 200);
      assert.equal((await world.bearer(make(world))).status, 401);
      assert.deepEqual(world.reasons(), [reason]);
    });
  }
});

test('an unused signature is not enough: signatureOf and the door agree on every algorithm', async (t) => {
  const keys = ['RS256', 'RS384', 'RS512', 'PS256', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'].map(
    (alg) => createTestKey(alg.toLowerCase(), alg),
  );
  const world = await startInbound(
    t,
    `
  issuers:
    idp:
      issuer: https://idp.example.com
      jwks_file: all.json
      audience: orders
      algorithms: [${keys.map(({ alg }) => alg).join(', ')}]
  policies: [{ name: api, match: {} }]
`,
    { 'all.json': jwkSet(...keys) },
  );
  for (const key of keys) {
    const token = signToken(key, goodClaims());
    assert.equal((await world.bearer(token)).status, 200, key.alg);
    const [head, payload] = token.split('.');
    const wrong = signatureOf(key, `${head}.${part({ ...goodClaims(), sub: 'x' })}`).toString('base64url');
    assert.equal((await world.bearer(`${head}.${payload}.${wrong}`)).status, 401, `${key.alg}, wrong`);
  }
});

test('concurrent first sights of one token cost one verification', async (t) => {
  const world = await startInbound(t);
  const token = world.token();
  const answers = await Promise.all(Array.from({ length: 200 }, () => world.bearer(token)));
  assert.ok(answers.every(({ status }) => status === 200));
  assert.equal((world.door.status() as { verifiedTokens: number }).verifiedTokens, 1);
});

test('a token ends while it is cached, and a clock that is set back makes it no younger', async (t) => {
  const world = await startInbound(t);
  const token = world.token({ exp: Math.floor(Date.now() / 1_000) + 60 });
  assert.equal((await world.bearer(token)).status, 200);
  world.clockOffsetMs = 120_000;
  assert.equal((await world.bearer(token)).status, 401);
  // Set back by a day: the time that this process has run still counts, for cached and for new ones.
  world.clockOffsetMs = -86_400_000;
  assert.equal((await world.bearer(world.token({ exp: Math.floor(Date.now() / 1_000) - 60 }))).status, 401);
});

test('two Authorization values, another scheme and a joined value are refused in both encodings', async (t) => {
  const world = await startInbound(t);
  const token = world.token();
  for (const raw of [true, false]) {
    for (const authorization of [
      [`Bearer ${token}`, `Bearer ${token}`],
      [`Bearer ${token}, Bearer ${token}`],
      [`Basic ${Buffer.from('a:b').toString('base64')}`],
      [`Bearer  ${token}`],
      [`Bearer ${token} `],
      [token],
      [''],
    ]) {
      const { status } = await world.ask({ raw, headers: { authorization } });
      assert.equal(status, 401, `${raw}: ${authorization.length} values`);
    }
    assert.equal((await world.ask({ raw, headers: { authorization: `bearer ${token}` } })).status, 200);
  }
});

test('a route that says it is outbound, or of another policy, is refused', async (t) => {
  const world = await startInbound(t);
  const token = world.token();
  for (const [extensions, status] of [
    [{ side: 'inbound' }, 200],
    [{ policy: 'api' }, 200],
    [{ side: 'outbound' }, 403],
    [{ side: 'sideways' }, 403],
    [{ side: '' }, 403],
    [{ policy: 'other' }, 403],
  ] as const) {
    assert.equal((await world.bearer(token, { extensions })).status, status, JSON.stringify(extensions));
  }
});

test('ambiguous paths are answered 400, whatever the token', async (t) => {
  const world = await startInbound(t);
  for (const path of ['/a/../b', '/a//b', '/a%2fb', '/a%5cb', '/a;b', '/a\\b', '/%2e%2e/b', '/a%00']) {
    assert.equal((await world.bearer(world.token(), { path })).status, 400, path);
  }
  assert.equal((await world.bearer(world.token(), { path: '/a?x=/../b' })).status, 200);
});
