// What is told of the shared cache: whether it serves, whether it takes what is written, and the one thing to change. A real
// Valkey that refuses in each of its ways.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createAuthority } from '../../../demo/certificates.ts';
import type { RedisConfig } from '../../../src/config/config.ts';
import { Secret } from '../../../src/lib/secret.ts';
import { countingProvider, createMember, type Member, newKey } from '../../support/fleet.ts';
import { freePort, freePorts } from '../../support/ports.ts';
import { hasRedis, startRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';

const PASSWORD = 'correct-horse-battery';
const folder = mkdtempSync(join(tmpdir(), 'bearerd-health-'));
const redis = await startRedis();
after(async () => {
  await redis.stop();
  rmSync(folder, { recursive: true, force: true });
});
const RIGHTS =
  'resetkeys ~bearerd:TENANT:* resetchannels &bearerd:TENANT:* -@all +eval +get +set +del +pttl +pexpire +hget +hset +time +xadd +xrange +xrevrange +zadd +zcard +zremrangebyscore +publish +subscribe';
const setUser = (name: string, ...rights: string[]) =>
  redis.call(
    'ACL',
    'SETUSER',
    name,
    'on',
    `>${PASSWORD}`,
    ...RIGHTS.replaceAll('TENANT', name).split(' '),
    ...rights,
  );

function memberOf(t: TestContext, settings: Partial<RedisConfig> & { port?: number } = {}): Member {
  const { port = redis.port, ...rest } = settings;
  const tenant = rest.username ?? `h${Math.floor(Math.random() * 1e9)}`;
  return createMember(t, { port, key: newKey(), provider: countingProvider(), tenant, redis: rest });
}

type Told = readonly ['up' | 'restricted' | 'down', string | undefined];
const toldOf = (member: Member) => member.named('sharedCacheChanged') as unknown as Told[];

async function untilTold(member: Member, state: Told[0], reason?: RegExp): Promise<void> {
  await until(
    () => `${state} ${reason}, told was ${JSON.stringify(toldOf(member))}`,
    () => {
      const [now, why] = toldOf(member).at(-1) ?? [];
      return now === state && (reason === undefined ? why === undefined : reason.test(why ?? ''));
    },
  );
}

const password = (text: string) => ({ from: 'inline', value: new Secret(text) }) as const;

describe('a Redis', { concurrency: true }, () => {
  const cases: readonly [what: string, set: string[][], unset: string[][], state: Told[0], reason: RegExp][] =
    [
      [
        'what is written, its memory being full',
        [['CONFIG', 'SET', 'maxmemory', '1']],
        [['CONFIG', 'SET', 'maxmemory', '0']],
        'restricted',
        /^its memory is full \(OOM\): .*maxmemory/,
      ],
      [
        'what is written, being a replica',
        [['REPLICAOF', '127.0.0.1', '1']],
        [['REPLICAOF', 'NO', 'ONE']],
        'restricted',
        /replica \(READONLY\)/,
      ],
      [
        'what is written, for want of replicas',
        [['CONFIG', 'SET', 'min-replicas-to-write', '2']],
        [['CONFIG', 'SET', 'min-replicas-to-write', '0']],
        'restricted',
        /NOREPLICAS.*min-replicas-to-write/,
      ],
      [
        'everything, being a replica without its master',
        [
          ['CONFIG', 'SET', 'replica-serve-stale-data', 'no'],
          ['REPLICAOF', '127.0.0.1', '1'],
        ],
        [
          ['REPLICAOF', 'NO', 'ONE'],
          ['CONFIG', 'SET', 'replica-serve-stale-data', 'yes'],
        ],
        'down',
        /MASTERDOWN/,
      ],
    ];
  for (const [what, set, unset, state, reason] of cases) {
    test(`that refuses ${what}: is told once, and that it is over`, async (t) => {
      const own = await startRedis();
      t.after(() => own.stop());
      const member = memberOf(t, { port: own.port });
      await untilTold(member, 'up');
      for (const words of set) await own.call(...words);
      // A renewal is refused, and asks.
      await member.issue();
      await untilTold(member, state, reason);
      // Reads that are answered, writes that are not, and connections anew are no change.
      for (let i = 0; i < 4; i++) {
        await member.issue();
        await sleep(300);
      }
      for (const words of unset) await own.call(...words);
      await untilTold(member, 'up');
      assert.deepEqual(
        toldOf(member).map(([now]) => now),
        ['up', state, 'up'],
      );
    });
  }

  test('that refuses what is written, since it cannot save: is told, and that it is over', async (t) => {
    const own = await startRedis({ settings: ['save 3600 1', 'dbfilename dump.rdb'] });
    t.after(() => own.stop());
    const member = memberOf(t, { port: own.port });
    await untilTold(member, 'up');
    const { dir } = (await own.call('CONFIG', 'GET', 'dir')) as { dir: string };
    const dump = join(dir, 'dump.rdb');
    // A folder in the place of its file: the save fails for root as well.
    mkdirSync(join(dump, 'full'), { recursive: true });
    await own.call('BGSAVE');
    await until('the save failed', async () =>
      /rdb_last_bgsave_status:err/.test(String(await own.call('INFO', 'persistence'))),
    );
    await member.issue();
    await untilTold(member, 'restricted', /MISCONF.*disk/);
    rmSync(dump, { recursive: true });
    await own.call('BGSAVE');
    await untilTold(member, 'up');
  });

  test('that refuses for want of rights: the commands that lack are told by name, or that the keys do', async (t) => {
    await setUser('lesser', '-xadd', '-publish');
    const member = memberOf(t, { username: 'lesser', password: password(PASSWORD) });
    await untilTold(member, 'restricted', /"lesser".*\+xadd \+publish/);
    await setUser('lesser', '-set', '-hset');
    await member.issue();
    await untilTold(member, 'restricted', /\+set \+hset/);
    await setUser('lesser', '-eval');
    await member.issue();
    await untilTold(member, 'down', /\+eval/);
    await setUser('lesser', 'resetkeys', '~other:*');
    await member.issue();
    await untilTold(member, 'down', /~bearerd:lesser:\*/);
    await setUser('lesser');
    await untilTold(member, 'up');
  });

  test('that refuses while it loads: is told, and that it is done', async (t) => {
    const own = await startRedis({
      settings: ['enable-debug-command local', 'loading-process-events-interval-bytes 1024'],
    });
    t.after(() => own.stop());
    const member = memberOf(t, { port: own.port });
    await untilTold(member, 'up');
    for (let i = 0; i < 100; i++) await own.call('SET', `key-${i}`, 'x'.repeat(1_000));
    await own.call('CONFIG', 'SET', 'key-load-delay', '20000');
    const loaded = own.call('DEBUG', 'RELOAD');
    await member.issue();
    await untilTold(member, 'down', /LOADING/);
    await loaded;
    await untilTold(member, 'up');
  });

  test('that refuses as a cluster that is not whole: is told, and that it is', async (t) => {
    const cluster = await startRedis({ settings: ['cluster-enabled yes'] });
    t.after(() => cluster.stop());
    const member = memberOf(t, { port: cluster.port });
    await untilTold(member, 'down', /CLUSTERDOWN/);
    await cluster.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
    await untilTold(member, 'up');
  });
  test('that refuses a wrong password, until the right one lies in the file', async (t) => {
    await setUser('checkout');
    const file = join(folder, 'password');
    const replace = (text: string) => {
      writeFileSync(`${file}.new`, text);
      renameSync(`${file}.new`, file);
    };
    const member = memberOf(t, { username: 'checkout', password: { from: 'file', path: file } });
    await untilTold(
      member,
      'down',
      /^redis\.password: the file cannot be read: ENOENT \(there is no such file\)$/,
    );
    replace('\n');
    await untilTold(member, 'down', /^redis\.password: the file is empty$/);
    replace('wrong-horse\n');
    await untilTold(member, 'down', /"checkout".*\(WRONGPASS\).*redis\.username and redis\.password/);
    // Some attempts.
    await sleep(1_500);
    replace(`${PASSWORD}\n`);
    await untilTold(member, 'up');
    assert.equal(toldOf(member).length, 4, 'each change once');
    assert.equal(await member.issue(), 'token-1');
    // An existing connection ends with its user.
    await redis.call('ACL', 'DELUSER', 'checkout');
    await untilTold(member, 'down', /WRONGPASS/);
    await setUser('checkout');
    await untilTold(member, 'up');
    assert.doesNotMatch(JSON.stringify(member.events), /horse/);
  });

  test('that is asked without a password where one is needed: is told', async (t) => {
    const own = await startRedis({ settings: ['requirepass x-secret'] });
    t.after(() => own.stop());
    await untilTold(memberOf(t, { port: own.port }), 'down', /NOAUTH.*redis\.password/);
  });

  test('that is down, or under no such name: is told by that reason, once', async (t) => {
    const port = await freePort();
    const member = memberOf(t, { port });
    await untilTold(member, 'down', new RegExp(`^127\\.0\\.0\\.1:${port} .*ECONNREFUSED.*nothing listens`));
    const own = await startRedis({ port });
    t.after(() => own.stop());
    await untilTold(member, 'up');
    await own.kill();
    await untilTold(member, 'down', /ECONNREFUSED/);
    await own.restart();
    await untilTold(member, 'up');
    assert.equal(toldOf(member).length, 4, JSON.stringify(toldOf(member)));
    const nodes = [{ host: 'no-such-host.invalid', port: 1 }];
    await untilTold(memberOf(t, { nodes }), 'down', /no-such-host\.invalid:1 .*(ENOTFOUND|EAI_AGAIN)/);
  });

  test('that cannot be reached through cluster nodes or sentinels: is told by the reason of the last one', async (t) => {
    const port = await freePort();
    const nodes = [{ host: '127.0.0.1', port }];
    for (const kind of ['cluster', 'sentinel'] as const) {
      await untilTold(memberOf(t, { kind, nodes, masterName: 'm' }), 'down', /ECONNREFUSED/);
    }
    await untilTold(
      memberOf(t, { kind: 'cluster', nodes: [{ host: '127.0.0.1', port: redis.port }] }),
      'down',
      /^it is no node of a cluster: .*redis\.address/,
    );
  });

  test('that TLS keeps apart from us: is told by authority, name, side or client certificate', {
    skip: hasRedis() ? false : 'needs redis-server with TLS (Debian: apt-get install redis-server)',
  }, async (t) => {
    const [own, foreign] = [mkdtempSync(join(folder, 'a')), mkdtempSync(join(folder, 'b'))];
    const authority = await createAuthority(own);
    const { ca: otherCa } = await createAuthority(foreign);
    const { cert, key } = await authority.issue('redis', 'server');
    const start = async (clients: string) => {
      const [plain, tls] = (await freePorts(2)) as [number, number];
      const settings = [
        ...[`tls-port ${tls}`, `tls-cert-file ${cert}`, `tls-key-file ${key}`],
        ...[`tls-ca-cert-file ${authority.ca}`, `tls-auth-clients ${clients}`],
      ];
      const started = await startRedis({ kind: 'redis', port: plain, settings });
      t.after(() => started.stop());
      return tls;
    };
    const [tls, strict] = [await start('no'), await start('yes')];
    writeFileSync(join(own, 'garbage.pem'), 'garbage');
    const ends: readonly [Partial<RedisConfig> & { port: number }, Told[0], RegExp?][] = [
      [{ port: tls, tls: { caFile: authority.ca, serverName: 'redis' } }, 'up'],
      [{ port: tls, tls: { caFile: otherCa, serverName: 'redis' } }, 'down', /no known authority.*ca_file/],
      [{ port: tls, tls: { caFile: undefined, serverName: 'redis' } }, 'down', /no known authority.*ca_file/],
      [
        { port: tls, tls: { caFile: authority.ca, serverName: undefined } },
        'down',
        /another name.*server_name/,
      ],
      [{ port: redis.port, tls: { caFile: authority.ca, serverName: 'redis' } }, 'down', /no TLS/],
      [{ port: tls }, 'down', /TLS/],
      [
        { port: strict, tls: { caFile: authority.ca, serverName: 'redis' } },
        'down',
        /client certificate.*tls-auth-clients no/,
      ],
      [
        { port: tls, tls: { caFile: join(own, 'none.pem'), serverName: undefined } },
        'down',
        /^redis\.tls\.ca_file.*ENOENT/,
      ],
      [
        { port: tls, tls: { caFile: join(own, 'garbage.pem'), serverName: undefined } },
        'down',
        /ca_file.*PEM/,
      ],
    ];
    await Promise.all(
      ends.map(([settings, state, reason]) => untilTold(memberOf(t, settings), state, reason)),
    );
  });
});
