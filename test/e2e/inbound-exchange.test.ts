// token: { exchange } through real Envoy with the generated configuration, exchanged by a real provider (oidc-provider).
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { TESTED_ENVOYS } from '../support/envoy.ts';
import { startExchangeProvider } from '../support/exchange-provider.ts';
import { startInboundEnvoy } from '../support/inbound-envoy.ts';
import { startRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

async function startProvider(t: TestContext) {
  const provider = await startExchangeProvider({ clientId: 'gateway', clientSecret: 'gateway-secret' });
  t.after(() => provider.stop());
  return provider;
}

interface Options {
  readonly version?: (typeof TESTED_ENVOYS)[number];
  readonly provider?: Awaited<ReturnType<typeof startProvider>>;
  readonly more?: string;
}

async function start(t: TestContext, { version, more = '', ...given }: Options = {}) {
  const provider = given.provider ?? (await startProvider(t));
  const world = await startInboundEnvoy(t, {
    ...(version === undefined ? {} : { version }),
    settings: `max_wait: 1s
${more}sources:
  internal:
    token_exchange:
      issuer: ${provider.issuer}
      client_id: gateway
      client_secret: { inline: gateway-secret }
      audience: urn:internal
`,
    inbound: `
  issuers:
    users: { issuer: "${provider.issuer}", audience: orders }
  policies:
    - { name: api, match: {}, forward: { x-user: sub }, token: { exchange: internal } }
`,
  });
  return {
    provider,
    world,
    token: (name: string) => provider.userToken(name, 600, { aud: 'orders' }),
    audienceAt: async (seen: Awaited<ReturnType<typeof world.send>>) => {
      assert.equal(seen.status, 200, seen.body);
      const claims = await provider.verify(seen.app!.headers['authorization']!.replace('Bearer ', ''));
      return [claims['sub'], claims['aud']];
    },
  };
}

for (const version of TESTED_ENVOYS) {
  test(`Envoy ${version}: the app gets a token of its own audience, of each caller, and never the caller’s`, async (t) => {
    const { provider, world, token, audienceAt } = await start(t, { version });
    const callers = ['ann', 'bob', 'eve'];
    for (const name of [...callers, ...callers]) {
      const own = await token(name);
      for (let i = 0; i < 2; i++) {
        const seen = await world.send('/v1/orders', {
          authorization: `Bearer ${own}`,
          dpop: 'x',
          'x-user': 'root',
          'x-request-id': 'same',
        });
        assert.deepEqual(await audienceAt(seen), [name, 'urn:internal']);
        assert.equal(seen.app!.headers['x-user'], name);
        assert.equal(seen.app!.headers['dpop'], undefined);
        assert.ok(!JSON.stringify(seen.app).includes(own));
      }
    }
    assert.equal(provider.calls, 6);
    assert.doesNotMatch(world.bearerd.output(), /eyJ/, 'no token in the log');
  });
}

test('while the provider is silent the caller has 503 with Retry-After within max_wait, and the app nothing', async (t) => {
  const { provider, world, token, audienceAt } = await start(t);
  const warm = { authorization: `Bearer ${await token('ann')}` };
  await audienceAt(await world.send('/', warm));
  const arrived = world.arrived();
  provider.delayMs = 3_000;
  const cold = { authorization: `Bearer ${await token('bob')}` };
  const begun = performance.now();
  const seen = await world.send('/', cold);
  const ms = performance.now() - begun;
  t.diagnostic(`${ms.toFixed(0)} ms until 503`);
  assert.ok(ms >= 900 && ms < 2_900, `${ms} ms`);
  assert.equal(seen.status, 503);
  assert.ok(Number(seen.headers['retry-after']) >= 1);
  assert.match(seen.body, /^\{"error":"temporarily_unavailable","decision":"[^"]+"\}\n$/);
  assert.equal(world.arrived(), arrived);
  assert.match(await world.metrics(), /refused_total\{policy="api",reason="exchange_unavailable"\} 1\n/);
  await audienceAt(await world.send('/', warm));
  while ((await world.send('/', cold)).status !== 200) await sleep(50);
  assert.equal(provider.calls, 2, 'the call that was under way served it');
});

test('a reload to another audience exchanges anew, although the inbound side stays as it was', async (t) => {
  const { provider, world, token, audienceAt } = await start(t);
  const headers = { authorization: `Bearer ${await token('ann')}` };
  assert.deepEqual(await audienceAt(await world.send('/', headers)), ['ann', 'urn:internal']);
  const file = join(world.folder, 'bearerd.yaml');
  writeFileSync(file, readFileSync(file, 'utf8').replace('urn:internal', 'urn:other'));
  process.kill(world.bearerd.pid, 'SIGHUP');
  await world.bearerd.waitForOutput(/"revision":2/);
  assert.deepEqual(await audienceAt(await world.send('/', headers)), ['ann', 'urn:other']);
  assert.equal(provider.calls, 2);
});

test('with Redis another process gives the same token without an exchange of its own, and nothing of it stands there in clear', async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-shared-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'seal'), randomBytes(32).toString('base64'));
  const more = `shared_cache: { redis: { address: "127.0.0.1:${redis.port}" }, tenant: shop, keys: [{ file: ${folder}/seal }], per_user_sources: [internal] }\n`;
  const provider = await startProvider(t);
  const [one, two] = [await start(t, { provider, more }), await start(t, { provider, more })];
  const entries = async () => ((await redis.call('KEYS', '*:entry')) as string[]).length;
  // Who waits gives Redis ten milliseconds, which a busy machine may not have: of five callers one is enough.
  let shared = false;
  for (let i = 0; i < 5 && !shared; i++) {
    const own = { authorization: `Bearer ${await one.token(`user-${i}`)}` };
    const before = await entries();
    const first = await one.world.send('/', own);
    await until('it lies in Redis', async () => (await entries()) > before);
    const { calls } = provider;
    const second = await two.world.send('/', own);
    for (const seen of [first, second])
      assert.deepEqual(await one.audienceAt(seen), [`user-${i}`, 'urn:internal']);
    const [a, b] = [first, second].map(({ app }) => app!.headers['authorization']);
    shared = provider.calls === calls;
    assert.equal(a === b, shared);
  }
  assert.ok(shared);
  const keys = (await redis.call('KEYS', '*')) as string[];
  const dumps = await Promise.all(keys.map((key) => redis.call('DUMP', key)));
  assert.doesNotMatch(`${keys} ${dumps.map(String)}`, /eyJ/);
});
