// The shared cache with a real Valkey, and with Debian's Redis where it is installed: one fetch for the whole fleet.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createSubject } from '../../../src/credential/subject.ts';
import { CredentialError } from '../../../src/lib/errors.ts';
import { Secret } from '../../../src/lib/secret.ts';
import { countingProvider, createMember, type Member, newKey } from '../../support/fleet.ts';
import { issueRequest } from '../../support/issue.ts';
import { hasRedis, type RedisKind, type StartedRedis, startRedis } from '../../support/redis.ts';
import { sourceConfig } from '../../support/token-source.ts';
import { until } from '../../support/until.ts';

for (const kind of ['valkey', 'redis'] as const satisfies readonly RedisKind[]) {
  const skip =
    kind === 'redis' && !hasRedis() ? 'needs redis-server (Debian: apt-get install redis-server)' : false;

  describe(`one fetch for the fleet, ${kind}`, { skip }, () => {
    let redis: StartedRedis;
    before(async () => {
      redis = await startRedis({ kind });
    });
    after(() => redis.stop());

    const fleet = (t: Parameters<typeof createMember>[0], count: number, options = {}) => {
      const provider = countingProvider();
      const key = newKey();
      const tenant = `t${Math.floor(Math.random() * 1e9)}`;
      const members = Array.from({ length: count }, () =>
        createMember(t, { port: redis.port, key, provider, tenant, ...options }),
      );
      return { provider, members, key, tenant };
    };

    test('twenty that start at once ask the provider once', async (t) => {
      const { provider, members } = fleet(t, 20);
      const values = await Promise.all(members.map((member) => member.issue()));
      assert.deepEqual(new Set(values), new Set(['token-1']));
      assert.equal(provider.calls, 1);
    });

    test('one that comes later takes what is there, in the background and for a request that waits', async (t) => {
      const { provider, members } = fleet(t, 3);
      const [first, second, third] = members as [
        (typeof members)[0],
        (typeof members)[0],
        (typeof members)[0],
      ];
      await first.issue();
      await first.settled();
      assert.equal(await second.issue(), 'token-1');
      // Its connection is up by now.
      await third.issue();
      assert.equal(provider.calls, 1);
      // Redis has ten milliseconds for it, which a busy machine may not give: of five one is enough.
      let isHit = false;
      for (let i = 0; i < 5 && !isHit; i++) {
        const { calls } = provider;
        assert.match(await third.issue({ neededBy: performance.now() + 100 }), /^token-/);
        isHit = provider.calls === calls;
      }
      assert.ok(isHit);
    });

    test('what is due is renewed by one, and the others have the new one', async (t) => {
      const { provider, members } = fleet(t, 10);
      provider.answer = async (n) => {
        await sleep(50);
        return { value: new Secret(`token-${n}`), lifetimeMs: 2_000 };
      };
      await Promise.all(members.map((member) => member.issue()));
      // Refresh at half life: 950 ms of 1,900 are left.
      await sleep(1_100);
      const values = await Promise.all(members.map((member) => member.issue()));
      assert.deepEqual(new Set(values), new Set(['token-2']));
      assert.equal(provider.calls, 2);
    });

    test('a renewal that fails keeps the old one for those who have none yet', async (t) => {
      const { provider, members } = fleet(t, 2);
      provider.answer = async (n) => {
        if (n > 1) throw new CredentialError('source_unavailable', 'away', { retryable: true });
        return { value: new Secret('token-1'), lifetimeMs: 4_000 };
      };
      const [first, second] = members as [(typeof members)[0], (typeof members)[0]];
      await first.issue();
      await sleep(2_200);
      await assert.rejects(first.issue(), { code: 'source_unavailable' });
      assert.equal(await second.issue(), 'token-1');
      assert.equal(provider.calls, 3);
    });

    test('the holder of the lease dies: those who wait for it fetch by themselves, a request sooner than the background', async (t) => {
      const { provider, members, tenant } = fleet(t, 3);

      const [dead, background, cold] = members as [
        (typeof members)[0],
        (typeof members)[0],
        (typeof members)[0],
      ];
      // Not at its own start, when a whole fleet may be starting.
      await cold.issue();
      await cold.settled();
      for (const name of (await redis.call('KEYS', `bearerd:${tenant}:*:entry`)) as string[])
        await redis.call('DEL', name);
      const { calls } = provider;
      provider.answer = () => new Promise(() => {});
      void dead.issue().catch(() => {});
      await until('it holds the lease', () => provider.calls > calls);
      provider.answer = async (n) => ({ value: new Secret(`token-${n}`), lifetimeMs: 60_000 });
      const begun = performance.now();
      const pending = background.issue();
      await cold.issue({ neededBy: performance.now() + 4_000 });
      const waited = performance.now() - begun;
      t.diagnostic(`a request waited ${waited.toFixed(0)} ms for a dead holder`);
      assert.ok(waited < 3_000, `${waited} ms`);
      assert.match(await pending, /^token-/);
    });

    test('a refused one is replaced once for all, and each is told within a second', async (t) => {
      const { provider, members } = fleet(t, 10);
      await Promise.all(members.map((member) => member.issue()));
      const told = members.slice(1).map(
        (member) =>
          new Promise<number>((resolve) => {
            t.after(member.source.arrived!(() => resolve(performance.now())));
          }),
      );
      await sleep(100);
      const begun = performance.now();
      assert.equal(await members[0]!.issue({ refused: new Secret('token-1') }), 'token-2');
      const last = Math.max(...(await Promise.all(told))) - begun;
      t.diagnostic(`all were told within ${last.toFixed(0)} ms`);
      assert.ok(last < 1_000, `${last} ms`);
      const values = await Promise.all(
        members.slice(1).map((member) => member.issue({ refused: new Secret('token-1') })),
      );
      assert.deepEqual(new Set(values), new Set(['token-2']));
      assert.equal(provider.calls, 2);
    });

    test('renewals before time have one budget for the fleet: the first in a minute, five more, then one in 30 s', async (t) => {
      const { provider, members } = fleet(t, 10);
      await members[0]!.issue();
      await members[0]!.settled();
      const results = await refusedInTurn(members, provider);
      assert.equal(provider.calls, 7, results.join(', '));
      assert.match(results.at(-1)!, /^source_unavailable (2[5-9]|30)\d{3}$/);
    });

    test('those of one source have five a minute over all its credentials, or a fifth of the live ones', async (t) => {
      for (const [subjects, repeats] of [
        [3, 5],
        [30, 6],
      ] as const) {
        const options = { perSubject: true, perUserSources: ['orders'] };
        const { provider, members } = fleet(t, 2, options);
        const [a, b] = members as [(typeof members)[0], (typeof members)[0]];
        const users = Array.from({ length: subjects }, (_, i) => createSubject(`user ${i}`, undefined));
        const values = await Promise.all(users.map((subject) => a.issue({ subject })));
        await a.settled();
        const first = provider.calls;
        const refuse = async (member: typeof a, i: number) => {
          const subject = users[i % 3]!;
          values[i % 3] = await member.issue({ subject, refused: new Secret(values[i % 3]!) });
          await member.settled();
        };
        for (let i = 0; i < 3; i++) await refuse(b, i);
        assert.equal(provider.calls - first, 3, 'the first of each is free');
        const limited: number[] = [];
        for (let i = 0; i < 12; i++) {
          await refuse(i % 2 === 0 ? a : b, i).catch((error: CredentialError) =>
            limited.push(error.retryAfterMs!),
          );
        }
        assert.equal(provider.calls - first - 3, repeats, `${subjects} live credentials`);
        assert.ok(Math.min(...limited) > 8_000 && Math.max(...limited) <= 12_000, `${limited}`);
      }
    });

    test('those of one endpoint have what is configured, over all its sources', async (t) => {
      const { provider, members, key, tenant } = fleet(t, 1, { forcedRefreshesPerHour: 12 });
      const others = ['a', 'b', 'c'].map((scope) =>
        createMember(t, {
          ...{ port: redis.port, key, provider, tenant, forcedRefreshesPerHour: 12 },
          patch: { scope: [scope] },
        }),
      );
      const results: string[] = [];
      for (const member of [...members, ...others]) {
        const refused = new Secret(await member.issue());
        await member.settled();
        results.push(...(await refusedInTurn([member], provider, refused)));
      }
      // Ten minutes' worth at once, as in one process.
      assert.match(
        results.join(' '),
        /^token-\d+ token-\d+ source_unavailable 29\d{4} source_unavailable 29\d{4}$/,
      );
    });

    test('while Redis is away the limits of the process hold alone', async (t) => {
      const own = await startRedis({ kind });
      t.after(() => own.stop());
      const provider = countingProvider();
      const member = createMember(t, { port: own.port, key: newKey(), provider });
      await member.issue();
      await own.kill();
      const results = await refusedInTurn(Array(8).fill(member), provider);
      assert.deepEqual(
        results,
        Array.from({ length: 8 }, (_, i) => `token-${i + 2}`),
      );
    });

    /** One after the other is told that an upstream refused the newest. */
    async function refusedInTurn(
      members: readonly Member[],
      provider: { readonly calls: number },
      first?: Secret,
    ): Promise<string[]> {
      const results: string[] = [];
      for (const member of members) {
        const refused = first ?? new Secret(`token-${provider.calls}`);
        results.push(
          await member
            .issue({ refused })
            .catch((error: CredentialError) => `${error.code} ${error.retryAfterMs}`),
        );
        await member.settled();
      }
      return results;
    }

    test('two users of one audience never have each other’s token, and none is shared unless the source is listed', async (t) => {
      const { provider, members } = fleet(t, 2, { perSubject: true, perUserSources: ['orders'] });
      const [alice, bob] = [createSubject('alice', undefined), createSubject('bob', undefined)];
      provider.answer = async (_, { subject }) => ({
        value: new Secret(`for-${subject!.token.reveal()}`),
        lifetimeMs: 60_000,
      });
      const [first, second] = members as [(typeof members)[0], (typeof members)[0]];
      assert.equal(await first.issue({ subject: alice }), 'for-alice');
      assert.equal(await second.issue({ subject: bob }), 'for-bob');
      await Promise.all([first.settled(), second.settled()]);
      assert.equal(await second.issue({ subject: alice }), 'for-alice');
      assert.equal(await first.issue({ subject: bob }), 'for-bob');
      assert.equal(await first.issue({ subject: createSubject('alice', 'an actor') }), 'for-alice');
      assert.equal(provider.calls, 3);
      await assert.rejects(first.source.issue(issueRequest()), /never shared without the user/);

      const lone = fleet(t, 2, { perSubject: true });
      for (const member of lone.members) await member.issue({ subject: alice });
      assert.equal(lone.provider.calls, 2);
    });

    test('what is bound to a key of one process, and what never ends, does not enter', async (t) => {
      for (const answer of [{ bound: true, lifetimeMs: 60_000 }, { lifetimeMs: undefined }]) {
        const { provider, members, tenant } = fleet(t, 2);
        provider.answer = async (n) => ({ value: new Secret(`token-${n}`), ...answer });
        for (const member of members) {
          await member.issue();
          await member.settled();
        }
        assert.equal(provider.calls, 2);
        const names = (await redis.call('KEYS', `bearerd:${tenant}:*:entry`)) as string[];
        assert.deepEqual(names, []);
      }
    });

    test('nothing in Redis holds a token, a secret or a client in clear', async (t) => {
      const { members, tenant, key } = fleet(t, 2);
      await members[0]!.issue();
      await members[0]!.settled();
      const names = (await redis.call('KEYS', `bearerd:${tenant}:*`)) as string[];
      const entry = names.find((name) => name.endsWith(':entry'))!;
      const all = `${names.join(' ')} ${await redis.call('GET', entry)}`;
      for (const clear of ['token-1', 'secret', 'idp', key]) assert.ok(!all.includes(clear), clear);
      const left = Number(await redis.call('PTTL', entry));
      assert.ok(left > 50_000 && left <= 57_000, `it ends 3 s before the token: ${left} ms`);
    });

    test('what an assertion that is signed here brings is shared by those with its key; what a program prints is not', async (t) => {
      const signed = (key: string) =>
        sourceConfig({
          jwt_bearer: {
            ...{ token_endpoint: 'http://127.0.0.1:1/token', client_id: 'c', client_auth: 'none' },
            assertion: { signed: { key: { inline: key }, issuer: 'i', subject: 's' } },
          },
        });
      const { provider, members } = fleet(t, 3, { config: signed('one key') });
      for (const member of members) {
        assert.equal(await member.issue(), 'token-1');
        await member.settled();
      }
      assert.equal(provider.calls, 1);
      const program = fleet(t, 2, { config: sourceConfig({ exec: { command: ['/bin/x'] } }) });
      for (const member of program.members) await member.issue();
      assert.equal(program.provider.calls, 2);
    });

    test('a planted value in the place of the budget costs no renewal', async (t) => {
      const { provider, members, tenant } = fleet(t, 2);
      await members[0]!.issue();
      await members[0]!.settled();
      const [calls] = (await redis.call('KEYS', `bearerd:${tenant}:*:calls`)) as [string];
      for (const plant of [
        ['LPUSH', calls, 'x'],
        ['HSET', calls, 'left', 'many'],
        ['HSET', calls, 'at', '-1'],
      ]) {
        await redis.call('DEL', calls);
        await redis.call(...plant);
        const refused = new Secret(`token-${provider.calls}`);
        assert.equal(await members[1]!.issue({ refused }), `token-${provider.calls}`);
        await members[1]!.settled();
      }
      assert.equal(provider.calls, 4);
    });

    test('a clock of Redis that was set back, or times that nobody wrote, hold up no renewal', async (t) => {
      const { provider, members, tenant } = fleet(t, 1);
      const [member] = members as [Member];
      const refuse = () => member.issue({ refused: new Secret(`token-${provider.calls}`) });
      await member.issue();
      await sleep(100);
      await refuse();
      await refuse();
      const ends = async (end: string) => (await redis.call('KEYS', `bearerd:${tenant}:*${end}`)) as string[];
      const [calls] = (await ends(':calls')) as [string];
      const repeats = await ends(':repeats:*');
      assert.equal(repeats.length, 2);
      for (const time of [String(Date.now() + 3_600_000), '9e15', 'inf', 'nan', '-1e300']) {
        await redis.call('HSET', calls, 'at', time);
        for (const name of repeats) await redis.call('SET', name, time);
        const before = provider.calls;
        assert.equal(await refuse(), `token-${before + 1}`, time);
        await sleep(20);
      }
    });

    test('another secret, scope or tenant is another entry', async (t) => {
      const { provider, members, key, tenant } = fleet(t, 1);
      await members[0]!.issue();
      await members[0]!.settled();
      for (const other of [
        { patch: { client_secret: { inline: 'rotated' } } },
        { patch: { scope: ['other'] } },
        { tenant: `${tenant}-other` },
      ]) {
        await createMember(t, { port: redis.port, key, provider, tenant, ...other }).issue();
      }
      assert.equal(provider.calls, 4);
      await createMember(t, { port: redis.port, key, provider, tenant }).issue();
      assert.equal(provider.calls, 4);
    });
  });
}
