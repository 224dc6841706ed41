// The list of revocations in a real Valkey, over its losses, over reloads, and with what does not belong there.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseConfig } from '../../../src/config/parse.ts';
import { createInboundDoor } from '../../../src/doors/inbound/inbound-door.ts';
import { createLasting } from '../../../src/inbound/lasting.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { createRedis } from '../../../src/shared-cache/redis.ts';
import { createSharedMarks } from '../../../src/shared-cache/shared-marks.ts';
import { bearerd } from '../../support/command-line.ts';
import { inboundRequest, readInboundAnswer } from '../../support/inbound-messages.ts';
import { goodClaims } from '../../support/inbound-world.ts';
import { createRecordingObserver } from '../../support/recording-observer.ts';
import { startRedis } from '../../support/redis.ts';
import { createTestKey, jwkSet, signToken } from '../../support/token-issuer.ts';

const shared = await startRedis();
after(() => shared.stop());
const { call } = shared;

/** The inbound side of one process, whose configuration may be exchanged. */
async function startSide(t: TestContext, redis = shared) {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-revocations-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const key = createTestKey('one');
  writeFileSync(join(folder, 'jwks.json'), jwkSet(key));
  const tenant = `r${Math.floor(Math.random() * 1e9)}`;
  const file = join(folder, 'bearerd.yaml');
  const told = createRecordingObserver();
  const lasting = createLasting(systemClock);
  const text = (issuers: string) => `version: 1
mode: development
listen: { check_inbound: "unix://${folder}/in.sock" }
shared_cache: { redis: { address: "127.0.0.1:${redis.port}" }, tenant: ${tenant}, keys: [{ inline: x }] }
inbound:
  revocation: { shared: true }
  issuers: { idp: { issuer: "https://idp.example.com", jwks_file: jwks.json, audience: orders }${issuers} }
  policies: [{ name: api, match: {} }]
`;
  writeFileSync(file, text(''));
  const own = createRedis(parseConfig(text(''), file).sharedCache!.redis, {
    ...{ clock: systemClock, env: {}, observer: told.observer, random: Math.random },
    ...{ tenant, woken() {} },
  });
  t.after(() => own.close());
  const marks = createSharedMarks(own, tenant);
  /** How often the whole list came. */
  const counted = { lists: 0 };
  let door: ReturnType<typeof createInboundDoor> | undefined;
  const use = (issuers = '') => {
    const config = parseConfig(text(issuers), file);
    const before = door;
    door = createInboundDoor(config, config.inbound!, {
      ...{ clock: systemClock, env: {}, observer: told.observer, random: Math.random, lasting },
      async sharedRevocations(known) {
        const answer = await marks.revocations(known);
        if (answer?.lines !== undefined) counted.lists++;
        return answer;
      },
    });
    door.start();
    before?.stop();
  };
  t.after(() => door?.stop());
  const status = async (jti: string) => {
    const headers = { authorization: `Bearer ${signToken(key, { ...goodClaims(), jti })}` };
    const call = { timeoutMs: 1_000, signal: new AbortController().signal };
    return readInboundAnswer(await door!.check(inboundRequest({ headers }), call)).status;
  };
  return {
    ...{ marks, tenant, told, counted, use, status, list: `bearerd:${tenant}:revocations` },
    revoke: (jti: string) => bearerd('revoke', '--config', file, '--jti', jti),
    async until(isSo: () => Promise<boolean> | boolean) {
      const end = performance.now() + 20_000;
      while (!(await isSo())) {
        assert.ok(performance.now() < end, 'not within 20 s');
        await sleep(20);
      }
    },
    /** Several looks. */
    looks: () => sleep(750),
  };
}

const ANOTHER = ', other: { issuer: "https://other.example.com", jwks_file: jwks.json, audience: orders }';

describe('the list of revocations', { concurrency: true }, () => {
  test('what Redis lost is known over a reload, also one with other issuers', async (t) => {
    const { use, revoke, until, status, looks, list } = await startSide(t);
    use();
    await revoke('first');
    await until(async () => (await status('first')) === 401);
    await call('DEL', list);
    await looks();
    assert.equal(await status('first'), 401);
    for (const issuers of ['', ANOTHER]) {
      use(issuers);
      await until(async () => (await status('good')) === 200);
      await looks();
      assert.equal(await status('first'), 401, `reloaded with ${issuers || 'the same'}`);
    }
  });

  test('a reload with another issuer while Redis is away goes on with the last known list', async (t) => {
    const redis = await startRedis();
    t.after(() => redis.stop());
    const { use, revoke, until, status } = await startSide(t, redis);
    use();
    await revoke('first');
    await until(async () => (await status('first')) === 401);
    await redis.kill();
    use(ANOTHER);
    await until(async () => (await status('good')) !== 503);
    assert.deepEqual([await status('good'), await status('first')], [200, 401]);
  });

  test('a list that comes and goes is known once, however often', async (t) => {
    const { use, until, told, list } = await startSide(t);
    use();
    const entries = () => told.named('inputLoaded').filter(([name]) => name === 'revocation list');
    const lost = () => told.named('inputRefused').length;
    await until(() => entries().length > 0);
    for (let i = 0; i < 6; i++) {
      // Each state is seen before the next: one that came again unseen is no change.
      const [before, lostBefore] = [entries().length, lost()];
      await call('RPUSH', list, `{"jti":"${i % 2}"}`);
      await until(() => entries().length > before);
      await call('DEL', list);
      await until(() => lost() > lostBefore);
    }
    assert.deepEqual(entries().at(-1), ['revocation list', 2]);
  });

  test('a line that is no revocation is told; the list is fetched again only when it has changed', async (t) => {
    const { use, revoke, until, status, told, counted, looks, list } = await startSide(t);
    use();
    await revoke('first');
    await until(async () => (await status('first')) === 401);
    await call('RPUSH', list, 'garbage');
    const reason = () => told.named('inputRefused').at(-1)?.[1];
    await until(() => reason() === 'line 2 is no revocation');
    const { lists } = counted;
    await looks();
    assert.equal(counted.lists, lists);
    assert.equal(await status('first'), 401);
    await call('LREM', list, '1', 'garbage');
    await revoke('second');
    await until(async () => (await status('second')) === 401);
  });

  test('a list beyond 32 MiB never enters the process', async (t) => {
    const { use, until, told, list } = await startSide(t);
    use();
    const line = `{"reason":"${'x'.repeat(8 << 20)}"}`;
    for (let i = 0; i < 5; i++) await call('RPUSH', list, line);
    await until(() => told.named('inputRefused').some(([, reason]) => /larger than/.test(String(reason))));
    await call('DEL', list);
  });

  test('a mark outlives its proof by what the clocks of processes may differ, so that one behind takes it no second time', async (t) => {
    const { marks, tenant } = await startSide(t);
    await marks.revocations('');
    assert.equal(await marks.first('proof', 65_000), true);
    const [name] = (await call('KEYS', `bearerd:${tenant}:seen:*`)) as [string];
    assert.ok(Number(await call('PTTL', name)) > 65_000 + 50_000);
  });

  test('whoever revokes is told when the list has no other line: Redis may have lost them', async (t) => {
    const { revoke } = await startSide(t);
    const first = await revoke('first');
    assert.deepEqual([first.code, (await revoke('second')).err], [0, '']);
    assert.match(first.err, /the shared list was empty/);
  });
});
