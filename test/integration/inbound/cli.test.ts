// revoke, verify and inspect: the command line against the real app.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createApp } from '../../../src/app/app.ts';
import { parseConfig } from '../../../src/config/parse.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { parseRuntime } from '../../../src/lib/runtime.ts';
import { bearerd } from '../../support/command-line.ts';
import { goodClaims } from '../../support/inbound-world.ts';
import { createTestKey, jwkSet, part, signToken } from '../../support/token-issuer.ts';

async function run(...args: string[]) {
  const { code, all } = await bearerd(...args);
  return { code, out: all };
}

test('verify asks the running bearerd, and revoke takes a token away within a second', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-cli-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const key = createTestKey('one');
  const configFile = join(folder, 'bearerd.yaml');
  writeFileSync(join(folder, 'jwks.json'), jwkSet(key));
  writeFileSync(join(folder, 'revoked.jsonl'), '\n');
  writeFileSync(
    configFile,
    `version: 1
listen: { check_inbound: "unix://${folder}/in.sock", admin: "unix://${folder}/admin.sock" }
inbound:
  issuers:
    idp: { issuer: "https://idp.example.com", jwks_file: jwks.json, audience: orders }
  revocation: { file: revoked.jsonl }
  policies:
    - { name: read, match: { paths: [/read/] }, scopes: [read] }
    - { name: write, match: {}, scopes: [write] }
`,
  );
  const config = parseConfig(readFileSync(configFile, 'utf8'), configFile);
  const app = await createApp(config, {
    clock: systemClock,
    env: {},
    random: Math.random,
    log: { write() {} },
    version: 'test',
    runtime: parseRuntime({}, process.versions.node, true),
  });
  await app.start();
  t.after(() => app.stop(0));

  const one = signToken(key, { ...goodClaims(), scope: 'read', jti: 'one' });
  const two = signToken(key, { ...goodClaims(), scope: 'read', jti: 'two' });
  const verify = (...more: string[]) => run('verify', '--config', configFile, ...more);
  while ((await verify(one)).code !== 0) await sleep(20);
  const both = await verify('--policy', 'read', one, `${two}x`);
  assert.equal(both.code, 1);
  const [first, second] = both.out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    { ...first, expires_at: typeof first.expires_at },
    { valid: true, issuer: 'idp', subject: 'alice', client: 'shop', scope: 'read', expires_at: 'string' },
  );
  assert.deepEqual(second, { valid: false, reason: 'token_malformed' });
  assert.match((await verify('--policy', 'write', one)).out, /"reason":"scope"/);
  assert.match((await verify('--policy', 'wriet', one)).out, /no inbound policy of this name/);

  const revoked = await run('revoke', '--config', configFile, '--jti', 'one', '--reason', 'lost laptop');
  assert.equal(revoked.code, 0, revoked.out);
  const begun = performance.now();
  while ((await verify(one)).code === 0) await sleep(10);
  const ms = performance.now() - begun;
  t.diagnostic(`${ms.toFixed(0)} ms`);
  assert.ok(ms < 1_000);
  assert.match((await verify(one)).out, /"reason":"token_revoked"/);
  assert.equal((await verify(two)).code, 0);

  assert.equal((await run('revoke', '--config', configFile)).code, 2);
  assert.equal((await run('revoke', '--config', configFile, '--sub', 'a', '--issuer', 'x')).code, 1);
  assert.equal((await run('revoke', '--config', configFile, '--issued-before', 'yesterday')).code, 1);
  assert.equal(readFileSync(join(folder, 'revoked.jsonl'), 'utf8').trim().split('\n').length, 2);
});

test('inspect says in words what a token is and what would be refused', async () => {
  const now = Math.floor(Date.now() / 1_000);
  const key = createTestKey('one');
  const good = await run('inspect', signToken(key, { ...goodClaims(), exp: now + 7_200 }));
  assert.equal(good.code, 0);
  assert.match(good.out, /exp \d{4}-\d\d-\d\dT[\d:]+Z, in 1 hour/);
  assert.match(good.out, /its signature was not verified/);
  const bad = await run(
    'inspect',
    `Bearer ${part({ alg: 'none', jku: 'https://x' })}.${part({ exp: now - 90_000 })}.AAAA`,
  );
  assert.equal(bad.code, 1);
  for (const line of [
    /alg is none/,
    /jku in the header is never followed/,
    /iss is missing/,
    /aud is missing/,
    /it has expired/,
    /1 day ago/,
  ])
    assert.match(bad.out, line);
  assert.match((await run('inspect', 'opaque-token')).out, /one part instead of three: no JWT/);
  assert.match((await run('inspect', 'a.b.c.d.e')).out, /an encrypted token/);
});

test('explain and check-config know a policy that exchanges its callers’ tokens', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-cli-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'bearerd.yaml');
  const text = (source: string) => `version: 1
listen: { check_inbound: "unix://${folder}/in.sock" }
sources:
  internal: { token_exchange: { issuer: "https://idp.example.com", client_id: a, client_secret: { file: s } } }
inbound:
  issuers:
    idp: { issuer: "https://idp.example.com", audience: orders }
  policies:
    - { name: api, match: {}, token: { exchange: ${source} } }
`;
  writeFileSync(file, text('internal'));
  const explained = await run('explain', '--config', file, '--side', 'inbound', 'GET', 'http://orders/v1/x');
  assert.match(explained.out, /^token +exchanged at the source internal: the app gets that one$/m);
  writeFileSync(file, text('interal'));
  const checked = await run('check-config', file);
  assert.equal(checked.code, 1);
  assert.match(checked.out, /:9:\d+: .*exchange: no source named "interal"; did you mean internal\?/);
});
