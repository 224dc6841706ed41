// Whatever happens to Redis costs misses and never an error: a real Valkey behind a network that fails on demand.
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RedisConfig } from '../../../src/config/config.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import type { CredentialError } from '../../../src/lib/errors.ts';
import { Secret } from '../../../src/lib/secret.ts';
import { createRedis } from '../../../src/shared-cache/redis.ts';
import { nullObserver } from '../../../src/telemetry/observer.ts';
import { startFaultyRedis } from '../../support/faulty-redis.ts';
import {
  type CountingProvider,
  clientCredentials,
  countingProvider,
  createMember,
  type Member,
  newKey,
} from '../../support/fleet.ts';
import { issueRequest } from '../../support/issue.ts';
import { freePort } from '../../support/ports.ts';
import { startRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';

const { redis, way } = await startFaultyRedis();

interface Fleet {
  readonly provider: CountingProvider;
  readonly key: string;
  readonly tenant: string;
  member(options?: object): Member;
  /** Names in Redis that end so. */
  names(end: string): Promise<string[]>;
}

function fleet(t: TestContext): Fleet {
  t.after(() => way.reset());
  const provider = countingProvider();
  const key = newKey();
  const tenant = `f${Math.floor(Math.random() * 1e9)}`;
  return {
    ...{ provider, key, tenant },
    member: (options = {}) => createMember(t, { port: way.port, key, provider, tenant, ...options }),
    names: async (end) => ((await redis.call('KEYS', `bearerd:${tenant}:*${end}`)) as string[]) ?? [],
  };
}

/** A request that waits, and how long Redis kept it beyond the provider's time. */
async function cold(member: Member, provider: CountingProvider): Promise<{ value: string; addedMs: number }> {
  let providerMs = 0;
  const { answer } = provider;
  provider.answer = async (...asked) => {
    const begun = performance.now();
    const issued = await answer(...asked);
    providerMs = performance.now() - begun;
    return issued;
  };
  const begun = performance.now();
  const value = await member.issue({ neededBy: begun + 3_000 });
  provider.answer = answer;
  return { value, addedMs: performance.now() - begun - providerMs };
}

/** With a connection and a first look behind it. */
async function warm({ member }: Fleet): Promise<Member> {
  const one = member();
  await one.issue();
  await one.settled();
  return one;
}

describe('Redis', () => {
  test('that is not there at the start leaves each process on its own', async (t) => {
    const { provider, key } = fleet(t);
    const members = Array.from({ length: 3 }, async () =>
      createMember(t, { port: await freePort(), key, provider }),
    );
    const begun = performance.now();
    for (const member of members) assert.match(await (await member).issue(), /^token-/);
    t.diagnostic(`three fetches took ${(performance.now() - begun).toFixed(0)} ms without Redis`);
    // The store waits 5 s for each.
    assert.ok(performance.now() - begun < 15_000);
    assert.equal(provider.calls, 3);
  });

  test('that goes away while all runs adds at most 50 ms to a request, and is used again when it is back', async (t) => {
    const f = fleet(t);
    const member = await warm(f);
    await way.down();
    const added: number[] = [];
    for (let i = 0; i < 10; i++) added.push((await cold(member, f.provider)).addedMs);
    // The least of ten: this machine may be busy, Redis would cost each of them as much.
    assert.ok(Math.min(...added) < 50, `${added} ms`);
    assert.equal(f.provider.calls, 11);
    await way.up();
    const deadline = performance.now() + 60_000;
    for (let calls = -1; calls !== f.provider.calls; ) {
      assert.ok(performance.now() < deadline, 'it was not used again within 60 s');
      calls = f.provider.calls;
      await sleep(250);
      await member.issue();
    }
  });

  test('that goes away is no herd: with half a life left each process puts its call off, once', async (t) => {
    const f = fleet(t);
    const member = await warm(f);
    await way.down();
    const put = await member.source.issue(issueRequest({ leftMs: 30_000 }));
    assert.equal(put.value.reveal(), 'token-1');
    assert.ok(
      put.refreshAfterMs! <= 18_000 && put.lifetimeMs! < 60_000,
      `${put.refreshAfterMs} ${put.lifetimeMs}`,
    );
    assert.equal(f.provider.calls, 1);
    assert.equal(await member.issue({ leftMs: 20_000 }), 'token-2');
    assert.equal(await member.issue({ leftMs: 5_000 }), 'token-3', 'with little left at once');
  });

  test('that takes 500 ms adds at most 50 ms to a request, and still serves the background', async (t) => {
    const f = fleet(t);
    const member = await warm(f);
    await way.add({ type: 'latency', latency: 500 });
    const added: number[] = [];
    for (let i = 0; i < 5; i++) added.push((await cold(member, f.provider)).addedMs);
    t.diagnostic(`added ${Math.min(...added).toFixed(1)} ms to a request`);
    assert.ok(Math.min(...added) < 50, `${added} ms`);
    assert.equal(f.provider.calls, 6);
    assert.equal(await member.issue(), 'token-1');
    assert.equal(f.provider.calls, 6, 'the background took what was there');
  });

  test('that says nothing any more (half-open) is left alone after three silences, and found again', async (t) => {
    const f = fleet(t);
    const member = await warm(f);
    const open = await way.add({ type: 'timeout', timeout: 0 });
    const { addedMs } = await cold(member, f.provider);
    assert.ok(addedMs < 900, `${addedMs} ms`);
    for (let i = 0; i < 3; i++) assert.match(await member.issue(), /^token-/);
    assert.ok(member.named('sharedCacheChanged').some(([state]) => state === 'down'));
    const begun = performance.now();
    await member.issue();
    assert.ok(performance.now() - begun < 900, 'the breaker spares the budget');
    await open();
    const deadline = performance.now() + 60_000;
    while (member.named('sharedCacheChanged').at(-1)?.[0] !== 'up') {
      assert.ok(performance.now() < deadline, 'it was not found again within 60 s');
      await sleep(250);
      await member.issue();
    }
  });

  test('that is cut in the middle of an answer, or answers in slices, is a miss or a hit, never an error', async (t) => {
    const f = fleet(t);
    const member = await warm(f);
    const slices = await way.add({ type: 'slicer', average_size: 3, delay: 100 });
    assert.match(await member.issue(), /^token-/);
    await slices();
    await way.add({ type: 'limit_data', bytes: 40 });
    for (let i = 0; i < 5; i++) assert.match(await member.issue(), /^token-/);
  });

  test('that was flushed is filled again by one call', async (t) => {
    const f = fleet(t);
    const members = Array.from({ length: 5 }, () => f.member());
    await Promise.all(members.map((member) => member.issue()));
    await redis.call('FLUSHALL');
    const values = await Promise.all(members.map((member) => member.issue()));
    assert.equal(new Set(values).size, 1);
    assert.equal(f.provider.calls, 2);
    await sleep(50);
    assert.equal(
      await f.member().issue(),
      values[0],
      'the fences of after the flush are higher than those before',
    );
  });

  test('that became a replica (READONLY) is left for another connection', async (t) => {
    const f = fleet(t);
    const member = await warm(f);
    const other = await startRedis();
    t.after(() => other.stop());
    await redis.call('REPLICAOF', '127.0.0.1', String(other.port));
    t.after(() => redis.call('REPLICAOF', 'NO', 'ONE'));
    // Reading goes on; a renewal writes.
    assert.equal(await member.issue(), 'token-1');
    assert.equal(await member.issue({ refused: new Secret('token-1') }), 'token-2');
    assert.ok(member.named('sharedCacheFailed').some(([fault]) => fault === 'read_only'));
    await redis.call('REPLICAOF', 'NO', 'ONE');
    const deadline = performance.now() + 60_000;
    while (member.named('sharedCacheChanged').at(-1)?.[0] !== 'up') {
      assert.ok(performance.now() < deadline, 'not used again within 60 s');
      await sleep(250);
      await member.issue();
    }
  });
});

describe('Redis that says no', () => {
  test('as a replica without its master (MASTERDOWN) is left for another connection', async (t) => {
    const f = fleet(t);
    const member = await warm(f);
    await redis.call('CONFIG', 'SET', 'replica-serve-stale-data', 'no');
    await redis.call('REPLICAOF', '127.0.0.1', String(await freePort()));
    t.after(async () => {
      await redis.call('REPLICAOF', 'NO', 'ONE');
      await redis.call('CONFIG', 'SET', 'replica-serve-stale-data', 'yes');
    });
    assert.equal(await member.issue(), 'token-2');
    assert.ok(member.named('sharedCacheFailed').some(([fault]) => fault === 'read_only'));
  });

  test('for want of memory (OOM) after it gave the lease keeps nobody waiting for what was not written', async (t) => {
    const f = fleet(t);
    const [full, next] = [f.member(), f.member()];
    f.provider.answer = async (n) => {
      if (n === 1) await redis.call('CONFIG', 'SET', 'maxmemory', '1');
      return { value: new Secret(`token-${n}`), lifetimeMs: 60_000 };
    };
    t.after(() => redis.call('CONFIG', 'SET', 'maxmemory', '0'));
    assert.equal(await full.issue(), 'token-1');
    while (full.named('sharedCacheWritten').length === 0) await sleep(5);
    assert.deepEqual(full.named('sharedCacheWritten'), [['orders', 'unavailable']]);
    const end = performance.now() + 4_000;
    while ((await f.names(':lease')).length > 0) {
      assert.ok(performance.now() < end, 'the lease is kept');
      await sleep(5);
    }
    // It says so to everybody, and nobody waits.
    assert.equal(await next.issue(), 'token-2');
    await redis.call('CONFIG', 'SET', 'maxmemory', '0');
    assert.equal(await full.issue(), 'token-3');
    await sleep(50);
    assert.equal(await next.issue(), 'token-3');
  });
});

describe('what lies in Redis', () => {
  const entryOf = async (f: Fleet) => (await f.names(':entry'))[0]!;

  test('garbage, a foreign type and a value of 10 MB are misses, and are replaced', async (t) => {
    const f = fleet(t);
    const member = await warm(f);
    const name = await entryOf(f);
    const fillings: readonly (readonly string[])[] = [
      ['SET', name, 'garbage'],
      ['SET', name, ''],
      ['SET', name, 'sealed1.0000000000000000.AAAA'],
      ['SETRANGE', name, '10000000', 'x'],
      ['LPUSH', name, 'a', 'b'],
    ];
    for (const [i, words] of fillings.entries()) {
      await redis.call('DEL', name);
      await redis.call(...words);
      assert.equal(await member.issue(), `token-${i + 2}`, words[0]!);
      await member.settled();
      assert.equal(await f.member().issue(), `token-${i + 2}`, 'replaced');
    }
    assert.ok(member.named('sharedCacheRead').some(([, result]) => result === 'not_opened'));
  });

  test('a flipped byte, another key’s entry and one of another name do not open', async (t) => {
    const f = fleet(t);
    const member = await warm(f);
    const name = await entryOf(f);
    const good = String(await redis.call('GET', name));
    const at = good.length - 20;
    await redis.call(
      'SET',
      name,
      good.slice(0, at) + (good[at] === 'A' ? 'B' : 'A') + good.slice(at + 1),
      'PX',
      '50000',
    );
    assert.equal(await member.issue(), 'token-2');
    await member.settled();
    // Two entries of one tenant, exchanged.
    const other = f.member({ patch: { scope: ['other'] } });
    assert.equal(await other.issue(), 'token-3');
    await other.settled();
    const [a, b] = (await f.names(':entry')) as [string, string];
    const [va, vb] = [String(await redis.call('GET', a)), String(await redis.call('GET', b))];
    await redis.call('SET', a, vb, 'PX', '50000');
    await redis.call('SET', b, va, 'PX', '50000');
    assert.equal(await member.issue(), 'token-4');
    assert.equal(await other.issue(), 'token-5');
  });

  test('an old value put back is a miss for who saw a newer one, and an expired one for everybody', async (t) => {
    const f = fleet(t);
    f.provider.answer = async (n) => ({ value: new Secret(`token-${n}`), lifetimeMs: 6_000 });
    const member = await warm(f);
    const name = await entryOf(f);
    const old = String(await redis.call('GET', name));
    assert.equal(await member.issue({ refused: new Secret('token-1') }), 'token-2');
    await member.settled();
    await redis.call('SET', name, old, 'PX', '3600000');
    assert.equal(await member.issue(), 'token-3');
    assert.ok(member.named('sharedCacheRead').some(([, result]) => result === 'replayed'));
    await sleep(6_000);
    await redis.call('SET', name, old, 'PX', '3600000');
    const late = f.member();
    assert.equal(await late.issue(), 'token-4', 'its own end counts, not what Redis says');
    await late.settled();
    await redis.call('PERSIST', name);
    assert.equal(await f.member().issue(), 'token-5', 'what has no end in Redis is not ours');
  });

  test('of two that fetch with two leases the later one’s value stays', async (t) => {
    const f = fleet(t);
    const release: (() => void)[] = [];
    f.provider.answer = async (n) => {
      if (n === 1) await new Promise<void>((resolve) => release.push(resolve));
      return { value: new Secret(`token-${n}`), lifetimeMs: 60_000 };
    };
    const [slow, fast] = [f.member(), f.member()];
    const first = slow.issue();
    while (release.length === 0) await sleep(10);
    // As when the slow one slept for longer than its lease.
    for (const lease of await f.names(':lease')) await redis.call('DEL', lease);
    assert.equal(await fast.issue(), 'token-2');
    await fast.settled();
    release[0]!();
    assert.equal(await first, 'token-1');
    await slow.settled();
    assert.deepEqual(slow.named('sharedCacheWritten').at(-1), ['orders', 'overtaken']);
    assert.equal(await f.member().issue(), 'token-2');
  });
});

test('a login takes the place of whatever somebody planted in its record', async (t) => {
  const f = fleet(t);
  const record = f.member().cache.record('login', clientCredentials());
  assert.equal(await record.replace('first'), 1);
  for (const plant of [
    ['HSET', record.name, 'version', 'garbage'],
    ['HSET', record.name, 'version', 'nan'],
    ['SET', record.name, 'no hash'],
    ['LPUSH', record.name, 'no hash'],
  ]) {
    if (plant[0] !== 'HSET') await redis.call('DEL', record.name);
    await redis.call(...plant);
    assert.ok(!((await record.write('of a holder', 1))! > 0));
    assert.ok((await record.replace(plant.join()))! > 0, plant.join(' '));
    assert.equal((await record.read())?.text, plant.join());
  }
  await redis.call('SETRANGE', 'giant', '10000000', 'x');
  await redis.call(
    'EVAL',
    "redis.call('HSET', KEYS[1], 'text', redis.call('GET', 'giant'))",
    '1',
    record.name,
  );
  const sent = async () =>
    Number(/total_net_output_bytes:(\d+)/.exec(String(await redis.call('INFO', 'stats')))![1]);
  const before = await sent();
  assert.equal((await record.read())?.text, undefined);
  assert.ok((await sent()) - before < 1e6, 'a giant value never leaves Redis');
});

test('a process without a usable sealing key is on its own, tells it, and keeps no lease that others wait for', async (t) => {
  const f = fleet(t);
  const blind = f.member({ keys: ['no key'] });
  assert.equal(await blind.issue(), 'token-1');
  assert.deepEqual(await f.names(':lease'), []);
  await warm(f);
  assert.equal(await blind.issue(), 'token-3');
  const [where, error] = blind.named('unexpected')[0] as [string, CredentialError];
  assert.deepEqual([where, error.code], ['shared cache', 'secret_unreadable']);
});

test('an invalidation that was missed over a lost connection is heard after it, within a second', async (t) => {
  const f = fleet(t);
  const [far, near] = [f.member(), f.member({ port: redis.port })];
  await Promise.all([far.issue(), near.issue()]);
  await sleep(100);
  let heardAt: number | undefined;
  t.after(
    far.source.arrived!(() => {
      heardAt ??= performance.now();
    }),
  );
  await way.down();
  assert.equal(await near.issue({ refused: new Secret('token-1') }), 'token-2');
  await sleep(500);
  assert.equal(heardAt, undefined);
  await way.up();
  const back = performance.now();
  while (heardAt === undefined) {
    assert.ok(performance.now() - back < 1_500, 'a connection within half a second, and heard within one');
    await sleep(10);
  }
  t.diagnostic(`heard ${(heardAt - back).toFixed(0)} ms after Redis was to be had again`);
  assert.equal(await far.issue(), 'token-2');
});

test('a stream of invalidations that began anew, behind a later clock or an id that somebody planted, is heard', async (t) => {
  const f = fleet(t);
  const [far, near] = [f.member(), f.member()];
  await Promise.all([far.issue(), near.issue()]);
  let heard = 0;
  t.after(far.source.arrived!(() => heard++));
  const stream = `bearerd:${f.tenant}:invalidations`;
  for (const [i, id] of ['99999999999999-0', `${2n ** 64n - 1n}-${2n ** 64n - 1n}`].entries()) {
    await redis.call('XADD', stream, id, 'entry', 'x', 'fence', '1');
    await redis.call('PUBLISH', `bearerd:${f.tenant}:wake`, '');
    await sleep(150);
    await redis.call('DEL', stream);
    const refused = new Secret(await near.issue());
    await near.issue({ refused });
    const end = performance.now() + 5_000;
    while (heard === i) {
      assert.ok(performance.now() < end, `deaf after ${id}`);
      await sleep(10);
    }
    await far.issue();
  }
});

test('a retry that was planned before another attempt succeeded makes no second connection', async (t) => {
  t.after(() => way.reset());
  const connections = async () =>
    String(await redis.call('CLIENT', 'LIST'))
      .trim()
      .split('\n').length;
  // Those of the tests before are on their way out.
  await until('nobody but the one who asks', async () => (await connections()) === 1);
  await way.down();
  const begun = performance.now();
  const at = (ms: number) => sleep(begun + ms - performance.now());
  const config = { kind: 'single', nodes: [{ host: '127.0.0.1', port: way.port }], masterName: undefined };
  const own = createRedis(
    { ...config, tls: undefined, username: undefined, password: undefined } as RedisConfig,
    {
      ...{ clock: systemClock, env: {}, observer: nullObserver, tenant: 'c', woken: () => {} },
      // Retries 0.6, 1.7 and 3.8 s after the start.
      random: () => 0.999,
    },
  );
  t.after(() => own.close());
  await at(2_000);
  await way.up();
  // Three failures, told apart, lead to an attempt at once.
  for (const ms of [2_050, 2_600, 3_150]) {
    await at(ms);
    await own.run('return 1', [], [], 1_000);
  }
  await at(4_500);
  assert.equal(await connections(), 2);
});
