// The signed_jwt source with real key files: what it signs verifies with what it publishes, also across a change of keys.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose';
import type { SourceConfig } from '../../../src/config/config.ts';
import { buildJwks } from '../../../src/credential/jwks.ts';
import { type Clock, systemClock } from '../../../src/lib/clock.ts';
import { createTokenSource } from '../../../src/source/registry.ts';
import { nullObserver } from '../../../src/telemetry/observer.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { issueFailure, issueRequest } from '../../support/issue.ts';
import { type KeyKind, writePrivateKey } from '../../support/signing-key.ts';

type Config = Extract<SourceConfig, { type: 'signed_jwt' }>;

const MINUTE = 60_000;

async function setUp(t: TestContext, patch: Partial<Config> = {}, clock: Clock = systemClock) {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-signing-'));
  t.after(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, 'keys'));
  const source = await createTokenSource(
    {
      name: 'orders',
      required: false,
      maxLifetimeMs: undefined,
      type: 'signed_jwt',
      keys: { from: 'directory', path: join(folder, 'keys') },
      alg: undefined,
      publishAheadMs: 10 * MINUTE,
      issuer: 'https://checkout.example.com',
      subject: 'checkout',
      audience: ['orders', 'stock'],
      scope: ['a', 'b'],
      claims: { tenant: { id: 7 } },
      typ: 'JWT',
      lifetimeMs: 5 * MINUTE,
      ...patch,
    },
    { clock, env: {}, observer: nullObserver },
  );
  const file = (name: string) => join(folder, 'keys', name);
  const jwks = () => buildJwks([source])! as unknown as JSONWebKeySet;
  const sign = async () => (await source.issue(issueRequest())).value.reveal();
  const verify = (token: string, keys = jwks()) =>
    jwtVerify(token, createLocalJWKSet(keys), {
      issuer: 'https://checkout.example.com',
      audience: 'stock',
      currentDate: new Date(clock.now()),
    });
  return { folder, source, file, jwks, sign, verify };
}

for (const kind of ['ES256', 'EdDSA', 'RS256'] as const satisfies readonly KeyKind[]) {
  test(`${kind}: what is signed verifies with the published key, which has no private part`, async (t) => {
    const { source, file, jwks, verify } = await setUp(t);
    writePrivateKey(file('a.pem'), kind);
    const { value, lifetimeMs, keyId } = await source.issue(issueRequest());
    const { payload, protectedHeader } = await verify(value.reveal());
    assert.deepEqual([protectedHeader.alg, protectedHeader.typ, protectedHeader.kid], [kind, 'JWT', keyId]);
    assert.deepEqual(
      [payload.sub, payload.scope, payload['tenant'], payload.exp! - payload.iat!],
      ['checkout', 'a b', { id: 7 }, 300],
    );
    assert.ok(lifetimeMs! > 290_000 && lifetimeMs! <= 300_000);
    const [key] = jwks().keys;
    for (const secret of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k']) assert.ok(!(secret in key!), secret);
    assert.notEqual(
      (await verify(await source.issue(issueRequest()).then((i) => i.value.reveal()))).payload.jti,
      payload.jti,
    );
  });
}

test('HS256 signs with the secret, publishes nothing, and refuses a short one', async (t) => {
  const { source, file, jwks } = await setUp(t, { alg: 'HS256' });
  const secret = randomBytes(32).toString('base64');
  writeFileSync(file('shared.key'), `${secret}\n`);
  const { value, keyId } = await source.issue(issueRequest());
  const { protectedHeader } = await jwtVerify(value.reveal(), Buffer.from(secret));
  assert.deepEqual([protectedHeader.alg, keyId], ['HS256', 'shared']);
  assert.deepEqual(jwks().keys, []);
  writeFileSync(file('shared.key'), 'short');
  assert.match((await issueFailure(source)).message, /at least 32 bytes/);
});

test('a new key is published at once and signs after publish_ahead; the old one may go at once', async (t) => {
  const clock = new FakeClock(Date.now() + 60 * MINUTE);
  const { source, file, jwks, sign, verify } = await setUp(t, {}, clock);
  writePrivateKey(file('2026-11.pem'));
  const first = await sign();
  const known = jwks();
  writePrivateKey(file('2026-12.pem'));
  rmSync(file('2026-11.pem'));
  const { value, refreshAfterMs } = await source.issue(issueRequest());
  await verify(value.reveal(), known); // a verifier with the JWKS of before
  assert.equal(jwks().keys.length, 2);
  assert.equal(refreshAfterMs, undefined, 'the store renews before the change anyway');
  await clock.advance(8 * MINUTE);
  const late = await source.issue(issueRequest());
  await verify(late.value.reveal(), known);
  assert.ok(late.refreshAfterMs! <= 2 * MINUTE, String(late.refreshAfterMs));
  await clock.advance(2 * MINUTE);
  const second = await sign();
  assert.notEqual(decodeProtectedHeader(second).kid, decodeProtectedHeader(first).kid);
  await verify(second);
  await verify(late.value.reveal()); // its key is published as long as it lives
  await clock.advance(4 * MINUTE);
  await sign();
  assert.equal(jwks().keys.length, 1);
});

test('a key that is copied with an old time is new all the same; one that was there at the start is not', async (t) => {
  const clock = new FakeClock(Date.now() + 60 * MINUTE);
  const { file, jwks, sign, verify } = await setUp(t, {}, clock);
  writePrivateKey(file('2026-11.pem'));
  await sign();
  const known = jwks();
  writePrivateKey(file('2026-12.pem'));
  utimesSync(file('2026-12.pem'), new Date(0), new Date(0));
  await verify(await sign(), known);
  // A restart an hour later: the newest signs at once, since its file has lain here for longer than publish_ahead.
  const restarted = await setUp(t, { keys: { from: 'directory', path: dirname(file('x')) } }, clock);
  await assert.rejects(verify(await restarted.sign(), known), { code: 'ERR_JWKS_NO_MATCHING_KEY' });
});

test('a key file replaced in its place keeps verifiers with the old JWKS working', async (t) => {
  const clock = new FakeClock(Date.now() + 60 * MINUTE);
  const { folder, file } = await setUp(t);
  const path = join(folder, 'keys', 'signing.pem');
  writePrivateKey(path);
  const { jwks, sign, verify } = await setUp(
    t,
    { keys: { from: 'files', files: [{ path, kid: undefined }] } },
    clock,
  );
  await sign();
  const known = jwks();
  writePrivateKey(file('next'));
  renameSync(file('next'), path);
  await verify(await sign(), known);
  await clock.advance(10 * MINUTE);
  await assert.rejects(verify(await sign(), known), { code: 'ERR_JWKS_NO_MATCHING_KEY' });
});

test('a broken file takes no other key away; without any key the reason names the file, not its content', async (t) => {
  const { source, file, sign, verify } = await setUp(t);
  writePrivateKey(file('a.pem'));
  writeFileSync(file('b.pem'), 'canary');
  await verify(await sign());
  rmSync(file('a.pem'));
  const error = await issueFailure(source);
  assert.equal(error.code, 'secret_unreadable');
  assert.match(error.message, /b\.pem: no private key/);
  assert.doesNotMatch(error.message, /canary/);
  rmSync(file('b.pem'));
  assert.match((await issueFailure(source)).message, /there is no key file/);
});

test('a new file in the folder is noticed within 2 s', async (t) => {
  const { source, file, jwks } = await setUp(t);
  writePrivateKey(file('a.pem'));
  let changes = 0;
  t.after(
    source.watch!(() => {
      changes++;
      void source.issue(issueRequest());
    }),
  );
  await source.issue(issueRequest());
  await sleep(1_100);
  const before = changes;
  const begun = performance.now();
  writePrivateKey(file('b.pem'), 'EdDSA');
  while (jwks().keys.length < 2 && performance.now() - begun < 5_000) await sleep(20);
  const ms = performance.now() - begun;
  t.diagnostic(`published after ${ms.toFixed(0)} ms (at most 2000)`);
  assert.ok(changes > before && ms <= 2_000, `${ms} ms`);
});
