// Two processes' inbound sides and a real Redis: what works once, works once in the fleet; what one operator revokes, all
// refuse; and what a lost Redis changes.
import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { calculateJwkThumbprint } from 'jose';
import { createDpopProver } from '../../src/proof/dpop.ts';
import { bearerd } from '../support/command-line.ts';
import { startInboundEnvoy } from '../support/inbound-envoy.ts';
import { goodClaims } from '../support/inbound-world.ts';
import { type StartedRedis, startRedis } from '../support/redis.ts';
import { signToken } from '../support/token-issuer.ts';
import { until } from '../support/until.ts';

async function startTwo(t: TestContext, redis: StartedRedis, more = '') {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-shared-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'seal'), randomBytes(32).toString('base64'));
  const options = {
    settings: `shared_cache: { redis: { address: "127.0.0.1:${redis.port}" }, tenant: shop, keys: [{ file: ${folder}/seal }] }`,
    inbound: `
  issuers:
    idp: { issuer: "https://idp.example.com", jwks_file: jwks.json, audience: orders }
  revocation: { shared: true${more} }
  policies: [{ name: api, match: {}, public_url: "https://api.example.com" }]
`,
  };
  const one = await startInboundEnvoy(t, options);
  const two = await startInboundEnvoy(t, options);
  two.write('jwks.json', readFileSync(join(one.folder, 'jwks.json'), 'utf8'));
  const good = { authorization: `Bearer ${signToken(one.key, goodClaims())}` };
  while ((await two.send('/', good)).status !== 200) await sleep(50);
  for (const world of [one, two]) {
    const isUp = async () => /^bearerd_shared_cache_up 1$/m.test(await world.metrics());
    await until('Redis is in use', isUp);
  }
  return { one, two, good };
}

const revoke = async (configFile: string, ...args: string[]) =>
  (await bearerd('revoke', '--config', configFile, ...args)).code;

test('a revocation in Redis is in force in both within a second, also after Redis was away, and a flush takes nothing back', async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const { one, two, good } = await startTwo(t, redis);
  const both = (headers: Record<string, string>) =>
    Promise.all([one, two].map(async (world) => (await world.send('/', headers)).status));
  const bearer = (jti: string) => ({
    authorization: `Bearer ${signToken(one.key, { ...goodClaims(), jti })}`,
  });
  const answered = (headers: Record<string, string>, status: number) =>
    until(`${status} of both`, async () => (await both(headers)).every((got) => got === status));
  const [first, second] = [bearer('first'), bearer('second')];
  assert.deepEqual(await both(first), [200, 200]);
  assert.equal(await revoke(join(one.folder, 'bearerd.yaml'), '--jti', 'first'), 0);
  const ms = await answered(first, 401);
  t.diagnostic(`${ms.toFixed(0)} ms until both refuse`);
  assert.ok(ms < 1_000, `${ms} ms`);

  await redis.kill();
  await sleep(1_500);
  assert.deepEqual(await both(first), [401, 401], 'the last known list counts on');
  assert.deepEqual(await both(good), [200, 200]);
  await redis.restart(); // empty: nothing was on disk
  assert.equal(await revoke(join(one.folder, 'bearerd.yaml'), '--jti', 'second'), 0);
  const again = await answered(second, 401);
  t.diagnostic(`${again.toFixed(0)} ms after the return of Redis`);
  assert.deepEqual(await both(first), [401, 401], 'a list that became shorter takes nothing back');
  assert.deepEqual(await both(good), [200, 200]);
});

test('a DPoP proof works once in the fleet; without Redis each process remembers for itself', async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const { one, two } = await startTwo(t, redis);
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const publicJwk = createPublicKey(privateKey).export({ format: 'jwk' }) as Record<string, string>;
  const token = signToken(one.key, {
    ...goodClaims(),
    cnf: { jkt: await calculateJwkThumbprint(publicJwk) },
  });
  const prove = createDpopProver({ privateKey, publicJwk }, token);
  const proof = () => ({
    authorization: `DPoP ${token}`,
    dpop: prove({ method: 'GET', htu: 'https://api.example.com/', now: Date.now(), nonce: undefined }),
  });
  const used = proof();
  assert.equal((await one.send('/', used)).status, 200);
  assert.equal((await two.send('/', used)).status, 401);
  assert.equal((await two.send('/', proof())).status, 200);
  // Only a hash is in Redis.
  const names = (await redis.call('KEYS', 'bearerd:shop:seen:*')) as string[];
  assert.equal(names.length, 2);
  assert.ok(names.every((name) => /^bearerd:shop:seen:[\w-]{43}$/.test(name)));
  await redis.kill();
  const next = proof();
  assert.equal((await one.send('/', next)).status, 200);
  assert.equal((await one.send('/', next)).status, 401);
});

test('with max_age, a list in a Redis that is away refuses every token', async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const { one, good } = await startTwo(t, redis, ', max_age: 2s');
  assert.equal((await one.send('/', good)).status, 200);
  await redis.kill();
  const begun = performance.now();
  while ((await one.send('/', good)).status !== 503) {
    assert.ok(performance.now() - begun < 30_000);
    await sleep(50);
  }
  await redis.restart();
  while ((await one.send('/', good)).status !== 200) {
    assert.ok(performance.now() - begun < 60_000);
    await sleep(50);
  }
});
