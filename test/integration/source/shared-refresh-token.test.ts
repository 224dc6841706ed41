// One rotating refresh token in a real Valkey for several processes: each with a connection of its own, in front of a real
// provider that takes a second use for theft.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseConfig } from '../../../src/config/parse.ts';
import type { TokenSource } from '../../../src/credential/credential.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import type { CredentialError } from '../../../src/lib/errors.ts';
import { createSharedCache } from '../../../src/shared-cache/shared-cache.ts';
import { createTokenSource } from '../../../src/source/registry.ts';
import { startFaultyRedis } from '../../support/faulty-redis.ts';
import { newKey } from '../../support/fleet.ts';
import { issueRequest } from '../../support/issue.ts';
import {
  LOGIN_CLIENT,
  LOGIN_SECRET,
  type LoginProvider,
  startLoginProvider,
} from '../../support/login-provider.ts';
import { createRecordingObserver, type RecordingObserver } from '../../support/recording-observer.ts';
import { refreshTokenStore, storeLogin } from '../../support/stored-login.ts';

const { redis, way } = await startFaultyRedis();

interface Holder extends RecordingObserver {
  readonly source: TokenSource;
}

interface Place {
  readonly provider: LoginProvider;
  readonly tenant: string;
  readonly configFile: string;
  /** Not behind the shared access token: each call of it is a use of the refresh token. */
  holder(port?: number): Promise<Holder>;
  logIn(): Promise<void>;
}

async function place(t: TestContext): Promise<Place> {
  const provider = await startLoginProvider();
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-shared-login-'));
  t.after(async () => {
    await way.reset();
    await provider.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  const tenant = `l${Math.floor(Math.random() * 1e9)}`;
  const key = newKey();
  const text = (port: number) => `version: 1
mode: development
listen: { check: "unix://${folder}/check.sock" }
shared_cache:
  redis: { address: "127.0.0.1:${port}" }
  tenant: ${tenant}
  keys: [{ inline: ${key} }]
sources:
  orders:
    refresh_token:
      issuer: ${provider.issuer}
      client_id: ${LOGIN_CLIENT}
      client_secret: { inline: "${LOGIN_SECRET}" }
      store: { shared: true }
`;
  const configFile = join(folder, 'bearerd.yaml');
  writeFileSync(configFile, text(redis.port));
  return {
    ...{ provider, tenant, configFile },
    async holder(port = redis.port) {
      const { sources, sharedCache } = parseConfig(text(port), configFile);
      const recording = createRecordingObserver();
      const deps = { clock: systemClock, env: {}, observer: recording.observer, random: Math.random };
      const cache = createSharedCache(sharedCache!, deps);
      const source = await createTokenSource(sources[0]!, { ...deps, sharedRecord: cache.record });
      t.after(async () => {
        await source.close?.();
        cache.close();
      });
      return { ...recording, source };
    },
    logIn: async () => storeLogin(configFile, 'orders', await provider.newRefreshToken()),
  };
}

const sent = ({ provider }: Place) => provider.calls.map(({ refreshToken }) => refreshToken);
/** The provider has seen so many token requests. */
async function called({ provider }: Place, count: number): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (provider.calls.length < count) {
    assert.ok(performance.now() < deadline, `${provider.calls.length} of ${count} calls within 10 s`);
    await sleep(10);
  }
}
const use = ({ source }: Holder) => source.issue(issueRequest({ signal: AbortSignal.timeout(60_000) }));
/** However long the others take on a busy machine. */
const useInTurn = (holder: Holder): Promise<unknown> =>
  use(holder).catch((error: CredentialError) => {
    assert.match(error.message, /another process is at it$/);
    return useInTurn(holder);
  });
const fault = (holder: Holder) =>
  use(holder).then(
    () => assert.fail('no failure'),
    (error: CredentialError) => error,
  );

test('three processes use one token in turn, and none is ever sent twice', async (t) => {
  const at = await place(t);
  await at.logIn();
  const holders = await Promise.all([at.holder(), at.holder(), at.holder()]);
  for (let round = 0; round < 10; round++) await Promise.all(holders.map(useInTurn));
  assert.equal(at.provider.calls.length, 30);
  assert.equal(new Set(sent(at)).size, 30);
  const [name] = (await redis.call('KEYS', `bearerd:${at.tenant}:*:record`)) as [string];
  const lying = String(await redis.call('HGETALL', name));
  const store = await refreshTokenStore(at.configFile, 'orders');
  const now = (await store.exclusively((held) => held.read()))!.token.reveal();
  await store.close();
  for (const clear of [now, Buffer.from(now).toString('base64').slice(0, 20), LOGIN_CLIENT, 'idp']) {
    assert.ok(!lying.includes(clear) && !name.includes(clear), 'sealed');
  }
});

test('a process that finds another one at it waits for its turn, and is told for how long when it takes longer', async (t) => {
  const at = await place(t);
  await at.logIn();
  const [a, b] = [await at.holder(), await at.holder()];
  let free = () => {};
  at.provider.before = () => new Promise((resolve) => (free = resolve));
  const first = use(a);
  await called(at, 1);
  const error = await fault(b);
  assert.equal(error.code, 'store_unavailable');
  assert.match(error.message, /^bearerd:l\d+:\{[\w-]{43}\}:record in Redis: another process is at it$/);
  assert.ok(error.retryable && error.retryAfterMs! > 0);
  at.provider.before = () => {};
  free();
  await first;
  await use(b);
  assert.equal(new Set(sent(at)).size, 2);
});

test('while Redis is away there is no refresh, that is told, and the provider is not asked', async (t) => {
  const at = await place(t);
  await at.logIn();
  const holder = await at.holder(way.port);
  await use(holder);
  await way.down();
  const error = await fault(holder);
  assert.deepEqual([error.code, error.retryable], ['store_unavailable', true]);
  assert.match(
    error.message,
    /in Redis: no answer within a second, or no right to it; without it there is no/,
  );
  assert.equal(at.provider.calls.length, 1);
  await way.up();
  const deadline = performance.now() + 15_000;
  while ((await use(holder).catch(() => undefined)) === undefined) {
    assert.ok(performance.now() < deadline, 'not used again within 15 s');
    await sleep(100);
  }
  assert.equal(new Set(sent(at)).size, 2);
});

test('an answer that came while Redis was away is written when it is back, before anybody else uses the old token', async (t) => {
  const at = await place(t);
  await at.logIn();
  const [cut, other] = [await at.holder(way.port), await at.holder()];
  at.provider.after = () => way.down();
  const pending = use(cut);
  await called(at, 1);
  await sleep(500);
  at.provider.after = () => {};
  // As when Redis forgot the lease, too: what keeps the other one off is the mark of the call.
  const [lease] = (await redis.call('KEYS', `bearerd:${at.tenant}:*:lease`)) as [string];
  await redis.call('DEL', lease);
  const error = await fault(other);
  assert.equal(error.code, 'store_unavailable');
  assert.match(error.message, /another process has asked with it and not yet told the answer/);
  await way.up();
  await pending;
  await use(other);
  await use(cut);
  assert.equal(new Set(sent(at)).size, 3, 'no token was sent twice');
});

test('an answer that comes after Redis forgot everything is written all the same: the login survives it', async (t) => {
  const at = await place(t);
  await at.logIn();
  const [a, b] = [await at.holder(), await at.holder()];
  at.provider.after = async () => void (await redis.call('FLUSHALL'));
  await use(a);
  at.provider.after = () => {};
  await use(b);
  await use(a);
  assert.equal(new Set(sent(at)).size, 3);
});

test('a login is taken by all at once, and what was obtained by the one before is not written over it', async (t) => {
  const at = await place(t);
  await at.logIn();
  const [a, b] = [await at.holder(), await at.holder()];
  // Both have a connection by then: one that comes after the login hears of it by reading, and is told of nothing.
  await use(a);
  await use(b);
  const told = [a, b].map(
    ({ source }) => new Promise<string>((resolve) => t.after(source.watch!(() => resolve('told')))),
  );
  let free = () => {};
  at.provider.before = () => new Promise((resolve) => (free = resolve));
  const pending = fault(a);
  await called(at, 3);
  const begun = performance.now();
  await at.logIn();
  const each = told.map((one) => Promise.race([one, sleep(10_000, 'not told within 10 s', { ref: false })]));
  assert.deepEqual(await Promise.all(each), ['told', 'told']);
  t.diagnostic(`all were told ${(performance.now() - begun).toFixed(0)} ms after the login began`);
  at.provider.before = () => {};
  free();
  assert.match((await pending).message, /another process or a login has changed it meanwhile/);
  await use(a);
  await use(b);
  assert.equal(new Set(sent(at)).size, 5);
  assert.deepEqual([...a.named('loginRequired'), ...b.named('loginRequired')], []);
});

test('a process without the key, and one that finds garbage, is told so and asks nobody', async (t) => {
  const at = await place(t);
  await at.logIn();
  const [name] = (await redis.call('KEYS', `bearerd:${at.tenant}:*:record`)) as [string];
  await redis.call('HSET', name, 'text', 'sealed1.0000000000000000.AAAA');
  const holder = await at.holder();
  assert.match((await fault(holder)).message, /what lies there does not open: another key, or damaged/);
  await redis.call('DEL', name);
  await redis.call('SET', name, 'foreign');
  assert.equal((await fault(holder)).code, 'store_unavailable');
  await redis.call('DEL', name);
  assert.equal((await fault(holder)).code, 'login_required');
  assert.equal(at.provider.calls.length, 0);
});
