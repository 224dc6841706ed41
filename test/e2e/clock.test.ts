// A wall clock that is wrong, or is set while bearerd runs, through every door. libfaketime moves bearerd's clock alone; the
// provider, the upstream and this test keep the machine's.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { libfaketime } from '../../tools/parts/preload.ts';
import { freshCredential, type OutageWorld, startOutageWorld, underFault } from '../support/outage.ts';
import { startTraffic } from '../support/traffic.ts';

const LIFE_MS = 4_000;
const library = await libfaketime().catch((error: Error) => error);
const skip = library instanceof Error ? library.message : false;

describe('a wall clock', { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-clock-'));
  const offsetFile = join(folder, 'offset');
  const set = (seconds: number) => writeFileSync(offsetFile, `${seconds < 0 ? '' : '+'}${seconds}\n`);
  let outage: OutageWorld;

  before(async () => {
    set(300);
    outage = await startOutageWorld({
      lifetimeSeconds: LIFE_MS / 1_000,
      env: {
        LD_PRELOAD: library as string,
        FAKETIME_TIMESTAMP_FILE: offsetFile,
        FAKETIME_NO_CACHE: '1',
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
      },
    });
  });
  after(async () => {
    await outage.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const skewSeconds = async () =>
    Number(/^bearerd_clock_skew_seconds\{[^}]*\} (\S+)$/m.exec(await outage.world.metrics())?.[1]);

  test('five minutes ahead from the start: nothing is lost, the metric tells', async (t) => {
    const { provider } = outage;
    await underFault(t, outage, { begin: () => {}, end: () => {}, holdMs: LIFE_MS });
    const skew = await skewSeconds();
    t.diagnostic(`bearerd_clock_skew_seconds ${skew}`);
    assert.ok(Math.abs(skew - 300) < 2, `${skew}`);
    assert.ok(provider.issued.length >= 2);
  });

  test('set back to five minutes behind while it runs: nothing is lost, the metric follows', async (t) => {
    await underFault(t, outage, { begin: () => set(-300), end: () => {}, holdMs: LIFE_MS });
    const skew = await skewSeconds();
    t.diagnostic(`bearerd_clock_skew_seconds ${skew}`);
    assert.ok(Math.abs(skew + 300) < 2, `${skew}`);
  });

  test('set back by an hour while the provider is away: the credential ends when it ends', async (t) => {
    const { provider } = outage;
    const { denied } = await underFault(t, outage, {
      begin: async () => {
        await provider.stop();
        set(-3_900);
      },
      end: async () => {
        set(0);
        await provider.start();
      },
      holdMs: LIFE_MS + 1_500,
    });
    assert.ok(denied.length > 0);
  });

  test('set ahead by an hour: what seems to have ended is renewed within a second', async (t) => {
    const { doors, provider, world } = outage;
    await freshCredential(provider);
    const traffic = startTraffic(doors, 60);
    await sleep(500);
    const expired = world.upstream.expired;
    set(3_600);
    const moved = Date.now();
    await sleep(3_000);
    const sent = await traffic.stop();
    const failed = sent.filter(({ status }) => status !== 200);
    const last = Math.max(moved, ...failed.map(({ at, ms }) => at + ms)) - moved;
    t.diagnostic(
      `${sent.length} requests, ${failed.length} denied, the last ${last.toFixed(0)} ms after (at most 1000)`,
    );
    assert.ok(failed.every(({ status }) => status === 503));
    assert.ok(last <= 1_000, `${last} ms`);
    assert.equal(world.upstream.expired, expired);
  });
});
