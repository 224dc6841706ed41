// What a verified caller may: each rule of a policy, with a token that fits and one that does not.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startInbound } from '../../support/inbound-world.ts';

const policy = (lines: string, top = '') => `
  issuers:
    idp: { issuer: "https://idp.example.com", jwks_file: jwks.json, audience: orders, roles_claim: /realm_access/roles }
${top}  policies:
    - name: api
      match: {}
${lines
  .split('\n')
  .filter((line) => line !== '')
  .map((line) => `      ${line}\n`)
  .join('')}`;
const now = () => Math.floor(Date.now() / 1_000);

describe('rules on claims', () => {
  const table: Record<string, [lines: string, claims: object, fits: boolean][]> = {
    scopes: [
      ['scopes: [a, b]', { scope: 'a b c' }, true],
      ['scopes: [a, b]', { scp: ['b', 'a'] }, true],
      ['scopes: [a, b]', { scope: 'a' }, false],
      ['scopes: [a]', { scope: 'ab' }, false],
      ['scopes: [a]', {}, false],
    ],
    claims: [
      ['claims: { tenant: { equals: acme } }', { tenant: 'acme' }, true],
      ['claims: { tenant: { equals: acme } }', { tenant: ['acme'] }, false],
      ['claims: { tenant: { equals: acme } }', {}, false],
      ['claims: { tenant: { in: [a, b] } }', { tenant: 'b' }, true],
      ['claims: { tenant: { in: [a, b] } }', { tenant: 'c' }, false],
      ['claims: { groups: { contains: x } }', { groups: ['y', 'x'] }, true],
      ['claims: { groups: { contains: x } }', { groups: 'y x' }, true],
      ['claims: { groups: { contains: x } }', { groups: 'xy' }, false],
      ['claims: { email: { prefix: "a@" } }', { email: 'a@b' }, true],
      ['claims: { email: { prefix: "a@" } }', { email: 'ba@b' }, false],
      ['claims: { level: { min: 2, max: 3 } }', { level: 2 }, true],
      ['claims: { level: { min: 2, max: 3 } }', { level: 4 }, false],
      ['claims: { level: { min: 2 } }', { level: '2' }, false],
      ['claims: { /a/b: { equals: 1 } }', { a: { b: 1 } }, true],
      ['claims: { /a/b: { equals: 1 } }', { 'a/b': 1 }, false],
      ['claims: { "https://x.example/y": { equals: 1 } }', { 'https://x.example/y': 1 }, true],
      ['claims: { constructor: { prefix: f } }', {}, false],
    ],
    permissions: [
      ['permissions: [orders:read]', { realm_access: { roles: ['reader'] } }, true],
      ['permissions: [orders:read, orders:write]', { realm_access: { roles: ['reader', 'writer'] } }, true],
      ['permissions: [orders:write]', { realm_access: { roles: ['reader'] } }, false],
      ['permissions: [orders:read]', { realm_access: { roles: ['__proto__', 'constructor'] } }, false],
      ['permissions: [orders:read]', { roles: ['reader'] }, false],
    ],
  };
  const roles = '  roles: { reader: ["orders:read"], writer: ["orders:write"] }\n';
  for (const [rule, rows] of Object.entries(table)) {
    test(rule, async (t) => {
      for (const [lines, claims, fits] of rows) {
        const world = await startInbound(t, policy(lines, roles));
        const token = world.token(claims as never);
        // Twice: a hit of the cache runs the same rules.
        for (let i = 0; i < 2; i++) {
          const { status, headers } = await world.bearer(token);
          assert.equal(status, fits ? 200 : 403, `${lines} ${JSON.stringify(claims)}`);
          if (!fits) assert.match(headers['www-authenticate']!, /error="insufficient_scope"/);
        }
      }
    });
  }

  test('a missing scope is named in the challenge', async (t) => {
    const world = await startInbound(t, policy('scopes: [a, b]'));
    const { headers } = await world.bearer(world.token());
    assert.equal(
      headers['www-authenticate'],
      'Bearer realm="bearerd", error="insufficient_scope", scope="a b"',
    );
  });
});

test('step-up: what a new login has to bring stands in the challenge of RFC 9470', async (t) => {
  const world = await startInbound(t, policy('acr: [gold, "urn:mfa"]\namr: [otp]\nmax_auth_age: 5m'));
  const good = { acr: 'gold', amr: ['pwd', 'otp'], auth_time: now() - 60 };
  assert.equal((await world.bearer(world.token(good))).status, 200);
  for (const claims of [
    {},
    { ...good, acr: 'silver' },
    { ...good, amr: ['pwd'] },
    { ...good, amr: 'otp' },
    { ...good, auth_time: now() - 400 },
    { ...good, auth_time: now() + 400 },
    { ...good, auth_time: undefined },
  ]) {
    const { status, headers } = await world.bearer(world.token(claims));
    assert.equal(status, 401, JSON.stringify(claims));
    assert.equal(
      headers['www-authenticate'],
      'Bearer realm="bearerd", error="insufficient_user_authentication", acr_values="gold urn:mfa", max_age="300"',
    );
  }
});

describe('rules on where a caller comes from', () => {
  test('networks look at the connection, never at what a caller says of itself', async (t) => {
    const world = await startInbound(t, policy('networks: [10.0.0.0/8, "2001:db8::/32"]'));
    const headers = { 'x-forwarded-for': '10.1.1.1' };
    const ask = async (address: string) => (await world.bearer(world.token(), { address, headers })).status;
    assert.equal(await ask('10.2.3.4'), 200);
    assert.equal(await ask('2001:db8::1'), 200);
    assert.equal(await ask('11.0.0.1'), 403);
    assert.equal(await ask('2001:db9::1'), 403);
    assert.equal(await ask('nonsense'), 403);
    assert.equal(await ask(''), 403);
  });

  test('trusted_hops counts proxies from the right, and too few of them are no address', async (t) => {
    const world = await startInbound(t, policy('networks: [10.0.0.0/8]', '  trusted_hops: 1\n'));
    const ask = async (forwarded: string) =>
      (await world.bearer(world.token(), { address: '10.9.9.9', headers: { 'x-forwarded-for': forwarded } }))
        .status;
    assert.equal(await ask('10.1.1.1, 192.0.2.1'), 200);
    assert.equal(await ask('10.1.1.1, 203.0.113.5, 192.0.2.1'), 403, 'the forged one is further left');
    assert.equal(await ask('10.1.1.1'), 403);
    assert.equal(await ask(''), 403);
  });

  test('peers are compared as a whole name', async (t) => {
    const world = await startInbound(
      t,
      policy('peers: ["spiffe://cluster.local/ns/prod/sa/*", "spiffe://cluster.local/ns/ops/sa/job"]'),
    );
    const ask = async (principal: string) => (await world.bearer(world.token(), { principal })).status;
    assert.equal(await ask('spiffe://cluster.local/ns/prod/sa/checkout'), 200);
    assert.equal(await ask('spiffe://cluster.local/ns/ops/sa/job'), 200);
    assert.equal(await ask('spiffe://cluster.local/ns/ops/sa/job2'), 403);
    assert.equal(await ask('spiffe://cluster.local/ns/prod/sa/a\0b'), 403);
    assert.equal(await ask('spiffe://evil/ns/prod/sa/checkout'), 403);
    assert.equal(await ask(''), 403);
  });

  test('x-forwarded-client-cert counts only as one element that Envoy wrote', async (t) => {
    const world = await startInbound(t, policy('peers: ["spiffe://a/b"]', '  client_certificate: xfcc\n'));
    const hash = 'a'.repeat(64);
    const ask = async (value: string) =>
      (await world.bearer(world.token(), { headers: { 'x-forwarded-client-cert': value } })).status;
    assert.equal(await ask(`By=spiffe://me;Hash=${hash};Subject="CN=a,O=b";URI=spiffe://a/b`), 200);
    assert.equal(await ask(`Hash=${hash};URI=spiffe://x,Hash=${hash};URI=spiffe://a/b`), 403);
    assert.equal(await ask(`URI=spiffe://a/b;By=",Hash=${hash};URI=spiffe://x`), 403);
    assert.equal(await ask(`Subject="URI=spiffe://a/b";URI=spiffe://x`), 403);
  });

  test('a token over plaintext is refused where TLS is demanded, before it is looked at', async (t) => {
    const world = await startInbound(t, policy('require_tls: true'));
    assert.equal((await world.bearer(world.token(), { scheme: 'https' })).status, 403);
    assert.equal((await world.bearer(world.token(), { tls: true })).status, 200);
    assert.deepEqual(world.reasons(), ['plaintext']);
  });
});

test('a right that is taken away denies within a second, although the token is cached', async (t) => {
  const world = await startInbound(t, policy('permissions: [read]', '  roles_file: roles.yaml\n'), {
    'roles.yaml': 'reader: [read]\n',
  });
  const token = world.token({ realm_access: { roles: ['reader'] } });
  while ((await world.bearer(token)).status !== 200) await sleep(10);
  const begun = performance.now();
  world.write('roles.yaml', 'reader: []\n');
  while ((await world.bearer(token)).status !== 403) await sleep(5);
  const ms = performance.now() - begun;
  t.diagnostic(`${ms.toFixed(0)} ms`);
  assert.ok(ms < 1_000, `${ms} ms`);
  // A file that is not usable changes nothing.
  world.write('roles.yaml', 'reader: [read\n');
  await sleep(400);
  assert.equal((await world.bearer(token)).status, 403);
});

test('a bound token is held to the certificate of its sender, also where the policy does not ask', async (t) => {
  const { createAuthority } = await import('../../../demo/certificates.ts');
  const { readFileSync } = await import('node:fs');
  const { X509Certificate, createHash } = await import('node:crypto');
  for (const lines of ['', 'bound: mtls']) {
    const world = await startInbound(t, policy(lines));
    const authority = await createAuthority(world.folder);
    const pem = readFileSync((await authority.issue('caller', 'client')).cert, 'utf8');
    const other = readFileSync((await authority.issue('other', 'client')).cert, 'utf8');
    const thumbprint = createHash('sha256').update(new X509Certificate(pem).raw).digest('base64url');
    const token = world.token({ cnf: { 'x5t#S256': thumbprint } });
    const ask = async (certificate: string, text = token) =>
      (await world.bearer(text, { certificate: encodeURIComponent(certificate) })).status;
    assert.equal(await ask(pem), 200);
    assert.equal(await ask(other), 401);
    assert.equal(await ask(''), 401);
    assert.equal(await ask(pem, world.token()), lines === '' ? 200 : 401, 'a token without a binding');
    assert.equal(await ask(pem, world.token({ cnf: {} })), 401, 'a binding of an unknown kind');
  }
});

test('forwarded claims: lists by commas, objects as JSON, and nothing with a line break', async (t) => {
  const world = await startInbound(
    t,
    policy('forward: { x-user: sub, x-groups: groups, x-level: level, x-org: /org, x-bad: bad }'),
  );
  const { set, removed } = await world.bearer(
    world.token({ groups: ['a', 'b'], level: 3, org: { id: 1 }, bad: 'a\r\nx-admin: 1' }),
  );
  assert.deepEqual(set, { 'x-user': 'alice', 'x-groups': 'a,b', 'x-level': '3', 'x-org': '{"id":1}' });
  assert.deepEqual(removed, ['x-bad']);
});
