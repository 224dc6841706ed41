// Proofs through real Envoys: DPoP with nonces, and HTTP message signatures, to upstreams that refuse any replay.
import assert from 'node:assert/strict';
import { createSecretKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse, stringify } from 'yaml';
import { startIdentityProvider } from '../../demo/identity-provider.ts';
import type { Answer, GatedEnvoy } from '../../demo/world.ts';
import { TESTED_ENVOYS } from '../support/envoy.ts';
import { startGateway } from '../support/gateway.ts';
import { dpopUpstream, signatureUpstream } from '../support/proof-upstreams.ts';

const ORIGIN = 'https://api.example.com';
const CLIENT = { clientId: 'checkout', clientSecret: 'secret', audience: 'orders', scope: 'orders.read' };

async function load(send: GatedEnvoy['send'], perSecond: number, seconds: number): Promise<Answer[]> {
  const begun = performance.now();
  const pending: Promise<Answer>[] = [];
  for (let i = 0; i < perSecond * seconds; i++) {
    const wait = begun + (i * 1_000) / perSecond - performance.now();
    if (wait > 1) await sleep(wait);
    const post = { method: 'POST', body: 'x' };
    pending.push(send(`/v1/orders/${i}?page=${i}`, i % 3 === 0 ? post : {}));
  }
  return Promise.all(pending);
}

const wrong = (answers: readonly Answer[]) =>
  answers.filter(({ status }) => status !== 200).map(({ status, body }) => `${status} ${body}`);

for (const version of TESTED_ENVOYS) {
  test(`Envoy ${version}: DPoP: nonces that change, and a revoked token, are noticed by nobody`, async (t) => {
    const provider = await startIdentityProvider(CLIENT);
    t.after(() => provider.stop());
    const upstream = dpopUpstream({
      origin: ORIGIN,
      jwks: provider.jwks,
      issuer: provider.issuer,
      nonceEvery: 150,
    });
    const gateway = await startGateway(t, {
      sources: `  orders:
    required: true
    client_credentials:
      issuer: ${provider.issuer}
      client_id: checkout
      client_secret: { inline: secret }
      scope: orders.read
      dpop: true`,
      policy: `upstream_url: ${ORIGIN}`,
      upstream: upstream.answer,
    });
    await gateway.ready();
    const { send } = await gateway.startEnvoy('attempt', { version });
    const before = provider.tokenCalls;
    const running = load(send, 100, 3);
    await sleep(1_500);
    upstream.revoke();
    const answers = await running;
    t.diagnostic(JSON.stringify(upstream.counts));
    assert.deepEqual(wrong(answers), []);
    assert.equal(upstream.counts['ok'], 300);
    assert.ok(upstream.counts['use_dpop_nonce']! >= 1);
    assert.ok(upstream.counts['revoked']! >= 1);
    assert.deepEqual(
      Object.keys(upstream.counts).filter((why) => !['ok', 'use_dpop_nonce', 'revoked'].includes(why)),
      [],
    );
    // A nonce is no refusal of the token: one renewal, for the revocation. The provider asks for a nonce of its own.
    assert.ok(provider.tokenCalls - before <= 2, `${provider.tokenCalls - before} token calls`);
    assert.doesNotMatch(await gateway.metrics(), /^bearerd_feedback_late_total\{.*[1-9]/m);
  });
}

const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ed = generateKeyPairSync('ed25519');
const shared = 'a secret that both know, of 32 bytes at least';
const pem = (key: KeyObject) => key.export({ format: 'pem', type: 'pkcs8' }) as string;
const ALGORITHMS = [
  { alg: 'ed25519', file: pem(ed.privateKey), key: ed.publicKey },
  { alg: 'ecdsa-p256-sha256', file: pem(ec.privateKey), key: ec.publicKey },
  { alg: 'hmac-sha256', file: shared, key: createSecretKey(Buffer.from(shared)) },
] as const;

/** As an operator who also retries what failed at the upstream. */
function retriedOn5xx(bootstrap: string): string {
  const document = parse(bootstrap);
  const manager = document.static_resources.listeners[0].filter_chains[0].filters[0].typed_config;
  for (const host of manager.route_config.virtual_hosts) {
    for (const { route } of host.routes) if (route?.retry_policy) route.retry_policy.retry_on += ',5xx';
  }
  return stringify(document);
}

for (const [i, { alg, file, key }] of ALGORITHMS.entries()) {
  const version = TESTED_ENVOYS[i % TESTED_ENVOYS.length]!;
  test(`Envoy ${version}: ${alg}: every attempt is signed anew, also the retry after a 503`, async (t) => {
    const upstream = signatureUpstream({
      origin: ORIGIN,
      keys: new Map([['key-1', { alg, key }]]),
      fields: ['@method', '@target-uri', '@authority', 'authorization'],
      failFirst: true,
    });
    const gateway = await startGateway(t, {
      sources: '  orders: { static: { value: { inline: token } } }',
      policy: `upstream_url: ${ORIGIN}\n    sign: { key: { file: FOLDER/key }, key_id: key-1, algorithm: ${alg} }`,
      files: { key: file },
      upstream: upstream.answer,
    });
    const { send } = await gateway.startEnvoy('attempt', { version, change: retriedOn5xx });
    const answers = await load(send, 100, 2);
    t.diagnostic(JSON.stringify(upstream.counts));
    assert.deepEqual(wrong(answers), []);
    assert.deepEqual({ ...upstream.counts }, { first: 200, ok: 200 });
  });
}

test('a new signing key in the file is used within two seconds, and a broken one changes nothing', async (t) => {
  const next = generateKeyPairSync('ed25519');
  const keys = new Map([['key-1', { alg: 'ed25519', key: ed.publicKey as KeyObject }]]);
  const upstream = signatureUpstream({ origin: ORIGIN, keys, fields: ['@target-uri'], failFirst: false });
  const gateway = await startGateway(t, {
    sources: '  orders: { static: { value: { inline: token } } }',
    policy: `upstream_url: ${ORIGIN}\n    sign: { key: { file: FOLDER/key }, key_id: key-1, algorithm: ed25519, tag: t }`,
    files: { key: pem(ed.privateKey) },
    upstream: upstream.answer,
  });
  const { send } = await gateway.startEnvoy('attempt');
  assert.equal((await send('/v1')).status, 200);
  await writeFile(join(gateway.folder, 'key'), 'no key');
  await gateway.bearerd.waitForOutput(/expected a private key for ed25519/);
  assert.equal((await send('/v1')).status, 200);
  keys.set('key-1', { alg: 'ed25519', key: next.publicKey });
  const begun = performance.now();
  await writeFile(join(gateway.folder, 'key'), pem(next.privateKey));
  while ((await send('/v1')).status !== 200) {
    assert.ok(performance.now() - begun < 2_000, 'not within two seconds');
    await sleep(20);
  }
  t.diagnostic(`used after ${(performance.now() - begun).toFixed(0)} ms (at most 2000)`);
  assert.doesNotMatch(gateway.bearerd.output(), /PRIVATE KEY/);
});
