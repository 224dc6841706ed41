// The shared cache on what people run: a cluster with a node killed, sentinels that fail over, a user with exactly the
// documented rights, TLS, two tenants, and keys that are rotated under load.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createAuthority } from '../../../demo/certificates.ts';
import type { RedisConfig } from '../../../src/config/config.ts';
import { Secret } from '../../../src/lib/secret.ts';
import {
  clientCredentials,
  countingProvider,
  createMember,
  type Member,
  newKey,
} from '../../support/fleet.ts';
import { freePorts } from '../../support/ports.ts';
import { hasRedis, type StartedRedis, startRedis } from '../../support/redis.ts';

const local = (ports: readonly number[]) => ports.map((port) => ({ host: '127.0.0.1', port }));

/** Asks again and again until the provider is not called for it: the cache serves. Fails the test on any error. */
async function untilShared(member: Member, provider: { calls: number }, limitMs: number): Promise<void> {
  const begun = performance.now();
  for (let calls = -1; calls !== provider.calls; ) {
    assert.ok(performance.now() - begun < limitMs, `not shared within ${limitMs} ms`);
    calls = provider.calls;
    await sleep(100);
    assert.match(await member.issue(), /^token-/);
  }
}

/** From the documentation itself; those of a cluster or of the inbound side stand behind `also`. */
function rightsOf(tenant: string, password: string, also?: RegExp): string[] {
  const document = readFileSync('docs/shared-cache.md', 'utf8').replaceAll('\n', ' ');
  const [, line] = /ACL SETUSER TENANT (.*?) ```/.exec(document) ?? [];
  assert.ok(line, 'docs/shared-cache.md has a line "ACL SETUSER TENANT …"');
  const rights = line.replaceAll('TENANT', tenant).replace('PASSWORD', password).split(' ');
  if (also === undefined) return rights;
  const more = [...(also.exec(document)?.[0] ?? '').matchAll(/`(\+[^`]*)`/g)];
  assert.ok(more.length > 0, `docs/shared-cache.md has rights like ${also}`);
  return [...rights, ...more.flatMap(([, words]) => words!.split(' '))];
}

const OF_CLUSTER = /A cluster also needs `[^`]*`/;
const OF_INBOUND =
  /`inbound\.revocation\.shared` needs `[^`]*`, and whoever runs `bearerd revoke` for it `[^`]*`/;

/** As the ACL's user of this name. */
const asUser = (name: string): Partial<RedisConfig> => ({
  username: name,
  password: { from: 'inline', value: new Secret(`${name}-password`) },
});

describe('a cluster of three', () => {
  test('serves the fleet, and a killed node costs misses until its replica takes over', async (t) => {
    const ports = await freePorts(6);
    const nodes = await Promise.all(
      ports.map((port) =>
        startRedis({
          port,
          settings: ['cluster-enabled yes', 'cluster-node-timeout 2000', 'cluster-replica-validity-factor 0'],
        }),
      ),
    );
    t.after(() => Promise.all(nodes.map((node) => node.stop())));
    await formCluster(nodes);
    const setUser = (name: string, rights: readonly string[]) =>
      Promise.all(nodes.map((node) => node.call('ACL', 'SETUSER', name, ...rights)));
    await setUser('checkout', rightsOf('checkout', 'checkout-password', OF_CLUSTER));

    const provider = countingProvider();
    const key = newKey();
    const clustered = { kind: 'cluster', nodes: local(ports.slice(0, 3)) } as const;
    const redis: Partial<RedisConfig> = { ...clustered, ...asUser('checkout') };
    const members = Array.from({ length: 3 }, () => createMember(t, { port: 0, key, provider, redis }));
    const values = await Promise.all(members.map((member) => member.issue()));
    assert.deepEqual(new Set(values), new Set(['token-1']));
    assert.equal(provider.calls, 1);

    await Promise.all(members.map((member) => member.settled()));
    assert.match(await members[0]!.issue({ refused: new Secret('token-1') }), /token-2/);
    await members[0]!.settled();
    await members[0]!.cache.record('a login', clientCredentials({ scope: ['login'] })).replace('text');
    for (const member of members) {
      assert.equal(await member.issue(), 'token-2');
      assert.equal((await readMigrating(nodes, member))?.version, 0);
      assert.deepEqual(member.named('sharedCacheFailed'), [], 'the documented rights are enough');
    }
    // And each is needed.
    for (const command of ['+cluster|slots', '+asking']) {
      const name = `less-${command.slice(-5)}`;
      const all = rightsOf(name, `${name}-password`, OF_CLUSTER);
      assert.ok(all.includes(command));
      await setUser(
        name,
        all.filter((word) => word !== command),
      );
      const own = { port: 0, key, provider: countingProvider(), tenant: name };
      const lesser = createMember(t, { ...own, redis: { ...clustered, ...asUser(name) } });
      assert.equal(await lesser.issue(), 'token-1');
      await readMigrating(nodes, lesser);
      assert.ok(lesser.named('sharedCacheFailed').length > 0, `${command} is not needed`);
      await lesser.close();
    }
    const holding = await Promise.all(
      nodes
        .slice(0, 3)
        .map(async (node) => ((await node.call('KEYS', 'bearerd:checkout:*:entry')) as string[]).length),
    );
    await nodes[holding.findIndex((count) => count > 0)]!.kill();
    const begun = performance.now();
    for (let i = 0; i < 5; i++) for (const member of members) assert.match(await member.issue(), /^token-/);
    for (const member of members) await untilShared(member, provider, 60_000);
    t.diagnostic(`all shared again ${(performance.now() - begun).toFixed(0)} ms after the kill`);
    // Whoever was at it meanwhile has the same as the others again.
    const after = await Promise.all(members.map((member) => member.issue()));
    assert.equal(new Set(after).size, 1);
    for (const member of members) await member.close();
  });
});

/** Of a slot that is on its way from one node to another: the first says ASK for what it has not. */
async function readMigrating(nodes: readonly StartedRedis[], { cache }: Member) {
  const record = cache.record('a login that moves', clientCredentials());
  const slot = String(await nodes[0]!.call('CLUSTER', 'KEYSLOT', record.name));
  const from = Math.min(2, Math.floor((Number(slot) * 3) / 16_384));
  const [source, target] = [nodes[from]!, nodes[(from + 1) % 3]!];
  await target.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', String(await source.call('CLUSTER', 'MYID')));
  await source.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', String(await target.call('CLUSTER', 'MYID')));
  try {
    return await record.read();
  } finally {
    for (const node of [source, target]) await node.call('CLUSTER', 'SETSLOT', slot, 'STABLE');
  }
}

async function formCluster(nodes: readonly StartedRedis[]): Promise<void> {
  const masters = nodes.slice(0, 3);
  const slots = 16_384;
  for (const [i, master] of masters.entries()) {
    const from = Math.floor((i * slots) / 3);
    const to = Math.floor(((i + 1) * slots) / 3) - 1;
    await master.call('CLUSTER', 'ADDSLOTSRANGE', String(from), String(to));
  }
  for (const node of nodes.slice(1)) await node.call('CLUSTER', 'MEET', '127.0.0.1', String(nodes[0]!.port));
  const ids = await Promise.all(masters.map((master) => master.call('CLUSTER', 'MYID') as Promise<string>));
  await until(async () => {
    for (const node of nodes) {
      if (!String(await node.call('CLUSTER', 'INFO')).includes('cluster_known_nodes:6')) return false;
    }
    return true;
  });
  for (const [i, replica] of nodes.slice(3).entries()) {
    await until(() =>
      replica.call('CLUSTER', 'REPLICATE', ids[i]!).then(
        () => true,
        () => false,
      ),
    );
  }
  await until(async () => {
    for (const node of nodes) {
      if (!String(await node.call('CLUSTER', 'INFO')).includes('cluster_state:ok')) return false;
    }
    for (const replica of nodes.slice(3)) {
      if (!String(await replica.call('INFO', 'replication')).includes('master_link_status:up')) return false;
    }
    return true;
  });
}

async function until(isThere: () => Promise<boolean>, limitMs = 60_000): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!(await isThere())) {
    assert.ok(performance.now() < deadline, `not there within ${limitMs} ms`);
    await sleep(100);
  }
}

test('sentinels fail over: the fleet goes on without an error and shares again', async (t) => {
  const [masterPort, replicaPort, ...sentinelPorts] = await freePorts(5);
  const master = await startRedis({ port: masterPort! });
  const replica = await startRedis({ port: replicaPort!, settings: [`replicaof 127.0.0.1 ${masterPort}`] });
  const sentinels = await Promise.all(
    sentinelPorts.map((port) =>
      startRedis({
        port,
        sentinel: true,
        settings: [
          `sentinel monitor main 127.0.0.1 ${masterPort} 2`,
          'sentinel down-after-milliseconds main 1000',
          'sentinel failover-timeout main 3000',
        ],
      }),
    ),
  );
  t.after(() => Promise.all([master, replica, ...sentinels].map((node) => node.stop())));
  await until(async () =>
    String(await replica.call('INFO', 'replication')).includes('master_link_status:up'),
  );
  await until(async () =>
    String(await sentinels[0]!.call('SENTINEL', 'CKQUORUM', 'main').catch(() => '')).startsWith('OK 3'),
  );
  const provider = countingProvider();
  const key = newKey();
  const redis: Partial<RedisConfig> = { kind: 'sentinel', nodes: local(sentinelPorts), masterName: 'main' };
  const members = Array.from({ length: 3 }, () => createMember(t, { port: 0, key, provider, redis }));
  const values = await Promise.all(members.map((member) => member.issue()));
  assert.deepEqual(new Set(values), new Set(['token-1']));
  await master.kill();
  const begun = performance.now();
  for (let i = 0; i < 3; i++) for (const member of members) assert.match(await member.issue(), /^token-/);
  await untilShared(members[0]!, provider, 60_000);
  t.diagnostic(`shared again ${(performance.now() - begun).toFixed(0)} ms after the kill`);
  for (const member of members) await member.close();
});

describe('a user of the ACL', () => {
  async function withUsers(t: TestContext) {
    const redis = await startRedis();
    t.after(() => redis.stop());
    for (const tenant of ['checkout', 'billing']) {
      await redis.call('ACL', 'SETUSER', tenant, ...rightsOf(tenant, `${tenant}-password`));
    }
    const key = newKey();
    const member = (tenant: string, user: string, provider = countingProvider()) =>
      createMember(t, {
        ...{ port: redis.port, key, provider, tenant },
        redis: asUser(user),
      });
    return { redis, member };
  }

  test('has exactly the documented rights: all works with them, and with one less something does not', async (t) => {
    const { member, redis } = await withUsers(t);
    const provider = countingProvider();
    const [a, b] = [member('checkout', 'checkout', provider), member('checkout', 'checkout', provider)];
    await useAll(a, b);
    assert.equal(provider.calls, 3);
    const record = a.cache.record('a login', clientCredentials());
    await record.replace('text');
    await record.hold(1_000);
    await record.write('next', (await record.read())?.version ?? 0, 1_000);
    await record.release();
    assert.deepEqual([...a.named('sharedCacheFailed'), ...b.named('sharedCacheFailed')], []);

    const commands = rightsOf('checkout', 'x').filter((word) => word.startsWith('+'));
    await Promise.all(
      commands.map(async (command) => {
        const tenant = `less-${command.slice(1)}`;
        const rights = rightsOf(tenant, `${tenant}-password`).filter((word) => word !== command);
        await redis.call('ACL', 'SETUSER', tenant, ...rights);
        const lesser = countingProvider();
        const [c, d] = [member(tenant, tenant, lesser), member(tenant, tenant, lesser)];
        await useAll(c, d);
        const faults = [...c.named('sharedCacheFailed'), ...d.named('sharedCacheFailed')];
        assert.ok(faults.length > 0, `${command} is not needed`);
      }),
    );
  });

  /** A first fetch, a hit, two renewals before time, and what the other hears of them. */
  async function useAll(a: Member, b: Member): Promise<void> {
    const first = await a.issue();
    await a.settled();
    await b.issue();
    const second = await a.issue({ refused: new Secret(first) });
    await a.settled();
    // It is told of it, too.
    await sleep(150);
    await b.issue({ refused: new Secret(first) });
    await b.issue({ refused: new Secret(second) });
  }

  test('of an inbound side has exactly the documented rights, too', async (t) => {
    const { member, redis } = await withUsers(t);
    const all = rightsOf('inbound', 'inbound-password', OF_INBOUND);
    const use = async (user: string) => {
      const { marks } = member(user, user).cache;
      return [(await marks.revoke('{}')) !== undefined, (await marks.revocations('')) !== undefined];
    };
    await redis.call('ACL', 'SETUSER', 'inbound', ...all);
    assert.deepEqual(await use('inbound'), [true, true]);
    for (const command of all.slice(rightsOf('inbound', 'x').length)) {
      const name = `no-${command.slice(1)}`;
      const lesser = rightsOf(name, `${name}-password`, OF_INBOUND).filter((word) => word !== command);
      await redis.call('ACL', 'SETUSER', name, ...lesser);
      assert.ok((await use(name)).includes(false), `${command} is not needed`);
    }
  });

  test('of one tenant can neither read nor write what is another’s, nor wake it', async (t) => {
    const { redis, member } = await withUsers(t);
    const provider = countingProvider();
    const owner = member('checkout', 'checkout', provider);
    await owner.issue();
    await owner.settled();
    // Even with the other's keys: its names are refused, which is a miss.
    const intruder = member('checkout', 'billing', provider);
    assert.equal(await intruder.issue(), 'token-2');
    assert.ok(intruder.named('sharedCacheFailed').length > 0);
    const [name] = (await redis.call('KEYS', 'bearerd:checkout:*:entry')) as [string];
    for (const words of [
      ['GET', name],
      ['SET', name, 'x'],
      ['PUBLISH', 'bearerd:checkout:wake', ''],
      ['KEYS', '*'],
    ]) {
      const answer = await redis.call('ACL', 'DRYRUN', 'billing', ...words);
      assert.notEqual(answer, 'OK', words.join(' '));
    }
  });
});

test('keys are rotated under load, new behind old, then first, then alone, without a call to the provider', async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const provider = countingProvider();
  const [old, next] = [newKey(), newKey()] as const;
  const ask = async (...keys: string[]) => {
    const member = createMember(t, { port: redis.port, key: keys[0]!, keys, provider });
    const value = await member.issue();
    await member.settled();
    return value;
  };
  assert.equal(await ask(old), 'token-1');
  for (const keys of [
    [old, next],
    [next, old],
    [old, next],
    [next, old],
  ]) {
    const values = await Promise.all([ask(...keys), ask(old), ask(old, next), ask(next, old)]);
    assert.deepEqual(new Set(values), new Set(['token-1']), 'old and new processes side by side');
  }
  assert.equal(provider.calls, 1);
  // A process without the key of what is there fetches for itself, once.
  assert.equal(await ask(next), 'token-2');
  assert.equal(await ask(next), 'token-2');
  assert.equal(provider.calls, 2);
});

describe('over TLS', {
  skip: hasRedis() ? false : 'needs redis-server with TLS (Debian: apt-get install redis-server)',
}, () => {
  test('with a private CA it serves; with another CA or another name nothing is sent and nothing shared', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'bearerd-redis-tls-'));
    const otherFolder = mkdtempSync(join(tmpdir(), 'bearerd-redis-tls-'));
    t.after(() => {
      for (const path of [folder, otherFolder]) rmSync(path, { recursive: true, force: true });
    });
    const authority = await createAuthority(folder);
    const { cert, key } = await authority.issue('redis', 'server');
    const [plainPort, tlsPort] = await freePorts(2);
    const redis = await startRedis({
      kind: 'redis',
      port: plainPort!,
      settings: [
        ...[
          `tls-port ${tlsPort}`,
          `tls-cert-file ${cert}`,
          `tls-key-file ${key}`,
          `tls-ca-cert-file ${authority.ca}`,
        ],
        'tls-auth-clients no',
      ],
    });
    t.after(() => redis.stop());
    const provider = countingProvider();
    const common = { port: tlsPort!, key: newKey(), provider };
    const tls = { caFile: authority.ca, serverName: 'redis' };
    for (let i = 0; i < 2; i++) {
      const member = createMember(t, { ...common, redis: { tls } });
      assert.equal(await member.issue(), 'token-1');
      await member.settled();
    }
    const { ca: otherCa } = await createAuthority(otherFolder);
    const wrong = [
      { ...tls, caFile: otherCa },
      { ...tls, serverName: 'other' },
    ];
    for (const [i, bad] of wrong.entries()) {
      assert.equal(await createMember(t, { ...common, redis: { tls: bad } }).issue(), `token-${i + 2}`);
    }
  });
});
