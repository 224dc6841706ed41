// The attack corpus through real Envoy with the generated configuration: each is refused and nothing reaches the app.
import assert from 'node:assert/strict';
import { connect as connectTcp } from 'node:net';
import { describe, test } from 'node:test';
import { FrameType } from '../../src/http2/frames.ts';
import { encodeHeaders } from '../../src/http2/hpack/encode.ts';
import { TESTED_ENVOYS } from '../support/envoy.ts';
import { type InboundEnvoy, startInboundEnvoy } from '../support/inbound-envoy.ts';
import { startUpstream } from '../support/loopback.ts';
import { connectRaw, frame } from '../support/raw-http2.ts';
import { createTestKey, jwkSet, macToken, part, signToken } from '../support/token-issuer.ts';

const ISSUER = 'https://idp.example.com';
const now = () => Math.floor(Date.now() / 1_000);
const claims = (more: object = {}) => ({
  iss: ISSUER,
  aud: 'orders',
  sub: 'alice',
  scope: 'orders.read',
  iat: now(),
  exp: now() + 300,
  ...more,
});

// The issuer `other` has a key of the same name.
const otherKey = createTestKey('one');
const INBOUND = `
  issuers:
    idp: { issuer: "${ISSUER}", jwks_file: jwks.json, audience: orders }
    other: { issuer: "https://other.example.com", jwks_file: other.json, audience: orders }
  policies:
    - { name: write, match: { paths: [/write/] }, issuers: [idp], scopes: [orders.write], forward: { x-user: sub } }
    - { name: pay, match: { paths: [/pay/] }, issuers: [idp], audience: payments }
    - { name: others, match: { paths: [/other/] }, issuers: [other] }
    - { name: open, match: { paths: [/open/] }, anonymous: true }
    - { name: read, match: { paths: [/read/] }, issuers: [idp], forward: { x-user: sub, x-tenant: tenant }, token: remove }
`;

for (const version of TESTED_ENVOYS) {
  test(`Envoy ${version}: the corpus is refused, good callers come in before and after it`, async (t) => {
    const world = await startInboundEnvoy(t, {
      inbound: INBOUND,
      files: { 'other.json': jwkSet(otherKey) },
      version,
    });
    const { key } = world;
    let canary = 0;
    const port = await startUpstream(t, (_, response) => {
      canary++;
      response.end(jwkSet(createTestKey('evil')));
    });
    const trapUrl = `http://127.0.0.1:${port}/jwks`;

    const good = signToken(key, claims());
    const ok = await world.send('/read/1', { authorization: `Bearer ${good}` });
    assert.equal(ok.status, 200, ok.body);
    assert.equal(ok.app!.headers['x-user'], 'alice');
    assert.equal(ok.app!.headers['authorization'], undefined, 'token: remove');

    const evil = createTestKey('one');
    const pem = key.privateKey; // its public half below
    const { createPublicKey } = await import('node:crypto');
    const publicPem = createPublicKey(pem).export({ type: 'spki', format: 'pem' }) as string;
    const [head, payload, signature] = good.split('.') as [string, string, string];
    // Same first 1,000 bytes as a good one.
    const long = signToken(key, claims({ filler: 'x'.repeat(1_500) }));
    const tokens: Record<string, string> = {
      'PEM as HMAC secret': macToken(publicPem, claims(), { kid: 'one' }),
      'PEM with a leading space as HMAC secret': macToken(` ${publicPem}`, claims(), { kid: 'one' }),
      'the JWK as HMAC secret': macToken(JSON.stringify(key.jwk), claims(), { kid: 'one' }),
      ...Object.fromEntries(
        ['none', 'None', 'NONE', 'nOnE'].flatMap((alg) => [
          [`${alg}, no signature`, `${part({ alg, typ: 'JWT' })}.${part(claims())}.`],
          [`${alg}, a signature`, `${part({ alg, typ: 'JWT' })}.${part(claims())}.${signature}`],
        ]),
      ),
      'kid that is a path': signToken(evil, claims(), { kid: '../../../../dev/null' }),
      'kid with SQL': signToken(evil, claims(), { kid: "x' UNION SELECT 'key" }),
      'kid with a line break': signToken(evil, claims(), { kid: 'one\r\nx: y' }),
      'jku to a canary': signToken(evil, claims(), { jku: trapUrl, kid: 'evil' }),
      'x5u to a canary': signToken(evil, claims(), { x5u: trapUrl }),
      'its own jwk': signToken(evil, claims(), { jwk: evil.jwk }),
      'a claim twice': signToken(key, JSON.stringify(claims()).replace('{', '{"sub":"root",')),
      'an unknown crit': signToken(key, claims(), { crit: ['x'], x: 1 }),
      'five parts': `${good}.${payload}.${signature}`,
      'bad base64url': `${head}.${payload}.${signature.slice(0, -2)}+/`,
      padding: `${good}=`,
      'another key with the right kid': signToken(evil, claims()),
      'the key of equal kid of another issuer': signToken(otherKey, claims()),
      'the token of another issuer': signToken(otherKey, claims({ iss: 'https://other.example.com' })),
      'a tampered payload': `${head}.${part(claims({ sub: 'root' }))}.${signature}`,
      'equal first 1,000 bytes': `${long.slice(0, -20)}${'A'.repeat(20)}`,
      expired: signToken(key, claims({ exp: now() - 60 })),
      'iat ahead': signToken(key, claims({ iat: now() + 600 })),
      'no exp': signToken(key, claims({ exp: undefined })),
      'another audience': signToken(key, claims({ aud: 'payments' })),
    };
    assert.equal((await world.send('/read/1', { authorization: `Bearer ${long}` })).status, 200);
    const before = world.arrived();
    for (const [name, token] of Object.entries(tokens)) {
      const { status, headers, body } = await world.send('/read/1', { authorization: `Bearer ${token}` });
      assert.equal(status, 401, `${name}: ${body}`);
      assert.match(
        String(headers['www-authenticate']),
        /^Bearer realm="bearerd", error="invalid_token"$/,
        name,
      );
    }
    const authorization = `Bearer ${good}`;
    for (const [name, sent] of Object.entries({
      'no header': {},
      'another scheme': { authorization: `Basic ${Buffer.from('a:b').toString('base64')}` },
      'the bare token': { authorization: good },
      'an empty header': { authorization: '' },
      'two equal ones': { authorization: [authorization, authorization] },
      'a good and a bad one': { authorization: [authorization, 'Bearer x'] },
      'a bad and a good one': { authorization: ['Bearer x', authorization] },
    })) {
      assert.equal((await world.send('/read/1', sent)).status, 401, name);
    }
    for (const path of ['/open/../read/1', '/read//1', '/read/%2e%2e/write/1', '/read%2f1', '/read;a/1']) {
      assert.equal((await world.send(path, { authorization })).status, 400, path);
    }
    // Scope and audience crossed between routes in both orders, after a hit of the cache.
    for (const path of ['/write/1', '/read/1', '/write/1', '/pay/1', '/read/1', '/pay/1']) {
      const { status } = await world.send(path, { authorization });
      assert.equal(status, { '/write/1': 403, '/read/1': 200, '/pay/1': 401 }[path], path);
    }
    const pay = `Bearer ${signToken(key, claims({ aud: 'payments' }))}`;
    assert.equal((await world.send('/pay/1', { authorization: pay })).status, 200);
    assert.equal((await world.send('/read/1', { authorization: pay })).status, 401);
    assert.equal((await world.send('/nowhere', { authorization })).status, 403, 'default deny');
    assert.equal(canary, 0, 'jku and x5u were not followed');
    assert.equal(world.arrived() - before, 3, 'only the three good ones reached the app');
  });
}

for (const [what, find, replace, status] of [
  ['call metadata', 'key: x-bearerd-side\n', 'value: outbound', 503],
  ['the route', 'context_extensions:\n', 'side: outbound', 403],
] as const) {
  test(`${what} that speaks of another side lets nobody in`, async (t) => {
    const world = await startInboundEnvoy(t, {
      inbound: INBOUND,
      files: { 'other.json': jwkSet(otherKey) },
      patch(yaml) {
        const at = yaml.indexOf(find) + find.length;
        const line = /.*\n/.exec(yaml.slice(at))![0];
        return (
          yaml.slice(0, at) + line.replace(/(value|side): inbound/, replace) + yaml.slice(at + line.length)
        );
      },
    });
    const authorization = `Bearer ${signToken(world.key, claims())}`;
    assert.equal((await world.send('/read/1', { authorization })).status, status);
    assert.equal((await world.send('/open/1')).status, status);
    assert.equal(world.arrived(), 0);
  });
}

describe('over HTTP/2', () => {
  test('two Authorization headers are refused, one is not', async (t) => {
    const world = await startInboundEnvoy(t, {
      inbound: INBOUND,
      files: { 'other.json': jwkSet(otherKey) },
    });
    const token = `Bearer ${signToken(world.key, claims())}`;
    const client = await connectRaw(String(world.port));
    t.after(() => client.close());
    let id = -1;
    /** Whether it was answered 200, which is one byte in HPACK's static table. */
    async function ask(values: readonly string[]): Promise<boolean> {
      id += 2;
      const head = encodeHeaders([
        [':method', 'GET'],
        [':scheme', 'http'],
        [':path', '/read/1'],
        [':authority', 'api.example.com'],
        ...values.map((value) => ['authorization', value] as const),
      ]);
      client.send(frame(FrameType.HEADERS, 5, id, head));
      await client.until(() => client.ended(id));
      return client.frames.find((f) => f.type === FrameType.HEADERS && f.id === id)!.payload[0] === 0x88;
    }
    assert.equal(await ask([token]), true);
    for (const values of [
      [token, token],
      [token, 'Bearer x'],
      ['Bearer x', token],
    ]) {
      assert.equal(await ask(values), false);
    }
    assert.equal(world.arrived(), 1);
  });
});

describe('claims as headers', () => {
  const spoofed = ['x-user', 'X-User', 'x_user', 'X_USER', 'x-tenant', 'x_tenant', 'X-TENANT'];
  test('what a caller writes there never arrives, in no spelling, on no route', async (t) => {
    const world = await startInboundEnvoy(t, {
      inbound: INBOUND,
      files: { 'other.json': jwkSet(otherKey) },
    });
    const token = signToken(world.key, claims());
    const lines = (path: string, authorization?: string) => [
      `GET ${path} HTTP/1.1`,
      'host: api.example.com',
      ...spoofed.map((name) => `${name}: root`),
      ...(authorization ? [`authorization: ${authorization}`] : []),
      'connection: close',
      '',
      '',
    ];
    for (const [path, authorization, user] of [
      ['/read/1', `Bearer ${token}`, 'alice'],
      ['/open/1', undefined, undefined],
      ['/open/1', 'Bearer nonsense', undefined],
    ] as const) {
      const text = await rawRequest(world, lines(path, authorization).join('\r\n'));
      assert.match(text, /^HTTP\/1.1 200/);
      const { headers } = JSON.parse(text.slice(text.indexOf('{'), text.lastIndexOf('}') + 1)) as {
        headers: Record<string, string>;
      };
      assert.equal(headers['x-user'], user, path);
      assert.equal(headers['x-tenant'], undefined, path);
      assert.ok(!JSON.stringify(headers).includes('root'), JSON.stringify(headers));
    }
    const refused = await rawRequest(world, lines('/read/1').join('\r\n'));
    assert.match(refused, /^HTTP\/1.1 401/);
  });
});

function rawRequest({ port }: InboundEnvoy, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp(port, '127.0.0.1', () => socket.write(text));
    let got = '';
    socket.on('data', (chunk) => {
      got += chunk.toString('latin1');
    });
    socket.on('end', () => resolve(got));
    socket.on('error', reject);
  });
}
