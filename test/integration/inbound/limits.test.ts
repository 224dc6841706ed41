// API keys, rate limits, failed attempts, CORS preflights and revocation, in this process.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startInbound } from '../../support/inbound-world.ts';
import { createTestKey, signToken } from '../../support/token-issuer.ts';
import { until } from '../../support/until.ts';

const issuers = `
  issuers:
    idp: { issuer: "https://idp.example.com", jwks_file: jwks.json, audience: orders }`;
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

describe('API keys', () => {
  const inbound = `${issuers}
  api_keys: { file: keys.yaml }
  policies:
    - { name: write, match: { paths: [/write/] }, api_keys: true, scopes: [write] }
    - { name: keys, match: { paths: [/keys/] }, api_keys: true, forward: { x-partner: client_id } }
    - { name: tokens, match: {} }
`;
  const file = (state: string, more = '') => `keys:
  - { id: partner, sha256: ${sha256('secret-key')}, scopes: [read], state: ${state}${more} }
  - { id: ended, sha256: ${sha256('old-key')}, expires_at: "2020-01-01T00:00:00Z", state: active }
  - { id: slow, sha256: ${sha256('slow-key')}, rate_limit: { requests: 1, per_seconds: 60 }, state: active }
`;

  test('an active key lets in with its scopes, and never reaches the app', async (t) => {
    const world = await startInbound(t, inbound, { 'keys.yaml': file('active') });
    const ask = (path: string, key: string) => world.ask({ path, headers: { 'x-api-key': key } });
    while ((await ask('/keys/', 'secret-key')).status !== 200) await sleep(5);
    const answer = await ask('/keys/', 'secret-key');
    assert.deepEqual(answer.set, { 'x-partner': 'partner' });
    assert.deepEqual(answer.removed, ['x-api-key']);
    assert.equal((await ask('/write/', 'secret-key')).status, 403, 'without the scope');
    assert.equal((await ask('/keys/', 'wrong')).status, 401);
    assert.equal((await ask('/keys/', '')).status, 401);
    assert.equal((await ask('/keys/', 'old-key')).status, 401, 'after its end');
    assert.equal((await ask('/', 'secret-key')).status, 401, 'a policy without api_keys');
    const both = await world.bearer(world.token(), {
      path: '/keys/',
      headers: { 'x-api-key': 'secret-key' },
    });
    assert.equal(both.status, 401, 'two credentials');
    assert.equal((await ask('/keys/', 'slow-key')).status, 200);
    const limited = await ask('/keys/', 'slow-key');
    assert.equal(limited.status, 429);
    assert.ok(Number(limited.headers['retry-after']) >= 55);
  });

  test('a file that was cut within a key lets nobody in by it: a revoked one is not active for want of its state', async (t) => {
    const whole = `keys:\n  - id: partner\n    sha256: ${sha256('secret-key')}\n    state: revoked\n`;
    const world = await startInbound(t, inbound, { 'keys.yaml': whole.slice(0, whole.indexOf('    state')) });
    const told = () => [...world.told.named('inputRefused'), ...world.told.named('inputLoaded')];
    while (!told().some(([input]) => input === 'api keys')) await sleep(5);
    const { status } = await world.ask({ path: '/keys/', headers: { 'x-api-key': 'secret-key' } });
    assert.equal(status, 401);
    assert.match(String(world.told.named('inputRefused')[0]![1]), /^keys\[0\]\.state: .*"active"/);
  });

  test('a state that lets nobody in counts within a second', async (t) => {
    for (const state of ['suspended', 'revoked', 'generated']) {
      const world = await startInbound(t, inbound, { 'keys.yaml': file('active') });
      const ask = async () =>
        (await world.ask({ path: '/keys/', headers: { 'x-api-key': 'secret-key' } })).status;
      while ((await ask()) !== 200) await sleep(5);
      const begun = performance.now();
      world.write('keys.yaml', file(state));
      while ((await ask()) !== 401) await sleep(5);
      assert.ok(performance.now() - begun < 1_000);
    }
  });

  test('only the hash is ever compared: the hash itself is no key', async (t) => {
    const world = await startInbound(t, inbound, { 'keys.yaml': file('active') });
    while ((await world.ask({ path: '/keys/', headers: { 'x-api-key': 'secret-key' } })).status !== 200)
      await sleep(5);
    const { status } = await world.ask({ path: '/keys/', headers: { 'x-api-key': sha256('secret-key') } });
    assert.equal(status, 401);
  });
});

describe('rate limits', () => {
  const limited = (key: string) => `${issuers}
  policies:
    - { name: api, match: {}, rate_limit: { requests: 3, per: 1h, key: ${key} } }
`;
  test('a caller has a bucket of its own, by its verified client and not by its token', async (t) => {
    const world = await startInbound(t, limited('caller'));
    const ask = async (client_id: string, jti: string) => world.bearer(world.token({ client_id, jti }));
    for (let i = 0; i < 3; i++) assert.equal((await ask('a', `${i}`)).status, 200);
    const refused = await ask('a', 'next');
    assert.equal(refused.status, 429);
    assert.match(refused.headers['retry-after']!, /^\d+$/);
    assert.equal(refused.headers['ratelimit-policy'], '"api";q=3;w=3600');
    assert.match(refused.headers['ratelimit']!, /^"api";r=0;t=\d+$/);
    assert.equal((await ask('b', '1')).status, 200);
  });

  test('one bucket for a policy, and one for each value of a header', async (t) => {
    const one = await startInbound(t, limited('policy'));
    for (const client_id of ['a', 'b', 'c'])
      assert.equal((await one.bearer(one.token({ client_id }))).status, 200);
    assert.equal((await one.bearer(one.token({ client_id: 'd' }))).status, 429);
    const header = await startInbound(t, limited('{ header: x-tenant }'));
    const ask = async (tenant: string) =>
      (await header.bearer(header.token(), { headers: { 'x-tenant': tenant } })).status;
    for (let i = 0; i < 3; i++) assert.equal(await ask('a'), 200);
    assert.equal(await ask('a'), 429);
    assert.equal(await ask('b'), 200);
  });

  test('a flood of bad tokens that claim a good caller takes nothing from it', async (t) => {
    const world = await startInbound(
      t,
      `${issuers}
  failed_attempts: { requests: 10, per: 1h }
  policies:
    - { name: api, match: {}, rate_limit: { requests: 50, per: 1h } }
    - { name: other, match: { hosts: [other.example.com] } }
`.replace('match: {}', 'match: { hosts: [api.example.com] }'),
    );
    const good = world.token();
    assert.equal((await world.bearer(good)).status, 200);
    const evil = createTestKey('one');
    const statuses = new Map<number, number>();
    for (let i = 0; i < 500; i++) {
      const { iss, aud, sub, client_id, exp } = JSON.parse(
        Buffer.from(good.split('.')[1]!, 'base64url').toString(),
      );
      const { status } = await world.bearer(signToken(evil, { iss, aud, sub, client_id, exp, jti: `${i}` }));
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
    assert.deepEqual([...statuses].sort(), [
      [401, 10],
      [429, 490],
    ]);
    // The good caller: cached token, its own bucket untouched.
    for (let i = 0; i < 49; i++) assert.equal((await world.bearer(good)).status, 200);
    assert.equal((await world.bearer(good)).status, 429, 'its own limit, to the request');
    // Another policy verifies on.
    assert.equal((await world.bearer(world.token({ jti: 'x' }), { host: 'other.example.com' })).status, 200);
  });
});

describe('CORS', () => {
  const inbound = `${issuers}
  policies:
    - name: api
      match: { paths: [/api/], methods: [GET, PUT] }
      cors: { origins: ["https://app.example.com"], methods: [GET, PUT], headers: [authorization], credentials: true }
    - { name: other, match: {} }
`;
  const preflight = (origin: string, method: string, path = '/api/x') => ({
    method: 'OPTIONS',
    path,
    headers: { origin, 'access-control-request-method': method },
  });
  test('a real preflight of a listed origin is answered without a credential, nothing else is', async (t) => {
    const world = await startInbound(t, inbound);
    const answer = await world.ask(preflight('https://app.example.com', 'PUT'));
    assert.equal(answer.status, 204);
    assert.equal(answer.headers['access-control-allow-origin'], 'https://app.example.com');
    assert.equal(answer.headers['access-control-allow-methods'], 'GET, PUT');
    assert.equal(answer.headers['access-control-allow-credentials'], 'true');
    assert.equal(answer.headers['vary'], 'origin');
    assert.equal((await world.ask(preflight('https://evil.example.com', 'PUT'))).status, 403);
    assert.equal((await world.ask(preflight('https://app.example.com', 'DELETE'))).status, 401);
    assert.equal((await world.ask(preflight('https://app.example.com', 'PUT', '/x'))).status, 401);
    const bare = await world.ask({
      method: 'OPTIONS',
      path: '/api/x',
      headers: { origin: 'https://app.example.com' },
    });
    assert.equal(bare.status, 401, 'OPTIONS without the request method is no preflight');
  });

  test('the request itself gets the origin header on its answer', async (t) => {
    const world = await startInbound(t, inbound);
    const headers = { origin: 'https://app.example.com' };
    const { status, headers: got } = await world.bearer(world.token(), { path: '/api/x', headers });
    assert.equal(status, 200);
    assert.equal(got['access-control-allow-origin'], 'https://app.example.com');
    const other = await world.bearer(world.token(), {
      path: '/api/x',
      headers: { origin: 'https://x.example' },
    });
    assert.deepEqual(other.headers, { vary: 'origin' });
  });
});

test('a listed origin may read why it was refused, also by a limit; another one may not', async (t) => {
  const world = await startInbound(
    t,
    `${issuers}
  policies:
    - name: api
      match: {}
      cors: { origins: ["https://app.example.com"], credentials: true }
      rate_limit: { requests: 1, per: 1m }
`,
  );
  const from = (origin: string) => ({ headers: { origin } });
  const refused = await world.ask(from('https://app.example.com'));
  assert.equal(refused.status, 401);
  assert.equal(refused.headers['access-control-allow-origin'], 'https://app.example.com');
  assert.equal(refused.headers['access-control-allow-credentials'], 'true');
  assert.equal(refused.headers['vary'], 'origin');
  assert.match(refused.headers['access-control-expose-headers']!, /www-authenticate.*retry-after/);
  const other = await world.ask(from('https://evil.example.com'));
  assert.deepEqual(
    Object.entries(other.headers).filter(([name]) => /^(access-control|vary)/.test(name)),
    [['vary', 'origin']],
  );
  const token = world.token();
  const ask = () => world.bearer(token, from('https://app.example.com'));
  while ((await ask()).status !== 429) await sleep(1);
  assert.equal((await ask()).headers['access-control-allow-origin'], 'https://app.example.com');
});

describe('revocation', () => {
  const inbound = `${issuers}
  revocation: { file: revoked.jsonl, max_age: 2s }
  policies: [{ name: api, match: {} }]
`;
  test('each way to revoke denies a cached token within a second, and no other token', async (t) => {
    const iat = Math.floor(Date.now() / 1_000);
    for (const entry of [
      { jti: 't1' },
      { sub: 'alice' },
      { sid: 's1' },
      { client_id: 'shop' },
      { sub: 'alice', issued_before: iat + 1 },
      { issued_before: new Date((iat + 1) * 1_000).toISOString(), issuer: 'idp', client_id: 'shop' },
    ]) {
      const world = await startInbound(t, inbound, { 'revoked.jsonl': '{"jti":"someone else"}\n' });
      const token = world.token({ jti: 't1', sid: 's1', iat });
      const other = world.token({ jti: 't2', sid: 's2', sub: 'bob', client_id: 'till', iat });
      assert.equal((await world.bearer(token)).status, 200);
      const begun = performance.now();
      world.write('revoked.jsonl', `${JSON.stringify(entry)}\n`);
      while ((await world.bearer(token)).status !== 401) await sleep(5);
      const ms = performance.now() - begun;
      assert.ok(ms < 1_000, `${JSON.stringify(entry)}: ${ms} ms`);
      assert.equal((await world.bearer(other)).status, 200, JSON.stringify(entry));
    }
  });

  test('what is issued after the date, or of another issuer, or ended, stays', async (t) => {
    const iat = Math.floor(Date.now() / 1_000);
    const entries = [
      { sub: 'alice', issued_before: iat - 10 },
      { sub: 'alice', issuer: 'another' },
      { sub: 'alice', expires_at: iat - 70 },
    ];
    const world = await startInbound(t, inbound, {
      'revoked.jsonl': entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''),
    });
    assert.equal((await world.bearer(world.token({ iat }))).status, 200);
  });

  test('a file that was cut to nothing lets nobody in again; a blank line does', async (t) => {
    const world = await startInbound(t, inbound, { 'revoked.jsonl': '{"sub":"alice"}\n' });
    const token = world.token();
    while ((await world.bearer(token)).status !== 401) await sleep(5);
    world.write('revoked.jsonl', '');
    while (world.told.named('inputRefused').length === 0) await sleep(5);
    assert.match(String(world.told.named('inputRefused')[0]![1]), /it is empty, as one that was cut/);
    assert.equal((await world.bearer(token)).status, 401);
    world.write('revoked.jsonl', '\n');
    while ((await world.bearer(token)).status !== 200) await sleep(5);
  });

  test('a list that is broken or away changes nothing until max_age, then every token is refused 503', async (t) => {
    const world = await startInbound(t, inbound, { 'revoked.jsonl': '{"sub":"mallory"}\n' });
    const token = world.token();
    world.write('revoked.jsonl', '{"sub":"alice"\n');
    await until('it is refused', () => world.told.named('inputRefused').length > 0);
    assert.equal((await world.bearer(token)).status, 200);
    assert.equal((await world.bearer(world.token({ sub: 'mallory' }))).status, 401);
    const begun = performance.now();
    while ((await world.bearer(token)).status !== 503) {
      assert.ok(performance.now() - begun < 30_000);
      await sleep(20);
    }
    world.write('revoked.jsonl', '\n');
    while ((await world.bearer(token)).status !== 200) {
      assert.ok(performance.now() - begun < 60_000);
      await sleep(20);
    }
  });
});
