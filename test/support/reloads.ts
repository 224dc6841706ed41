// Reloads of a running bearerd under load, some of them of broken configurations.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createWorld } from '../../demo/world.ts';
import type { Door } from '../../src/doors/generate/plan.ts';
import { load, statuses } from './load.ts';
import type { StartedProcess } from './process.ts';

export interface Reloads {
  readonly door: Door;
  readonly reloads: number;
  readonly perSecond: number;
}

/** Every tenth configuration is broken. No request may notice any of it. */
export async function reloadUnderLoad(t: TestContext, { door, reloads, perSecond }: Reloads): Promise<void> {
  const world = await createWorld({ lifetimeSeconds: 600 });
  t.after(() => world.stop());
  const bearerd = await world.startBearerd();
  await world.ready();
  const { send } = await world.startEnvoy(door);
  assert.equal((await send('/v1/orders')).status, 200);
  const text = readFileSync(world.configFile, 'utf8');

  let done = false;
  const sent: { readonly status: number }[] = [];
  const loading = (async () => {
    while (!done) sent.push(...(await load(() => send('/v1/orders'), perSecond, 1)));
  })();
  const took: number[] = [];
  for (let i = 1; i <= reloads; i++) {
    const broken = i % 10 === 0;
    writeFileSync(world.configFile, broken ? `${text}\nunknown_key: ${i}\n` : variant(text, i));
    const begun = performance.now();
    process.kill(bearerd.pid, 'SIGHUP');
    await until(
      bearerd,
      broken ? 'was not taken over' : 'took over',
      broken ? i / 10 : i - Math.floor(i / 10),
    );
    took.push(performance.now() - begun);
    // So that requests meet each of them.
    await sleep(40);
  }
  done = true;
  await loading;
  took.sort((a, b) => a - b);
  t.diagnostic(
    `${reloads} reloads, ${Math.floor(reloads / 10)} broken; ${JSON.stringify(statuses(sent))}; a reload took ${took[took.length >> 1]!.toFixed(0)} ms, at most ${took.at(-1)!.toFixed(0)} ms`,
  );
  assert.deepEqual(statuses(sent), { 200: sent.length });
  assert.ok(sent.length > 0 && took.at(-1)! < 1_000, `the slowest reload took ${took.at(-1)} ms, bound 1 s`);
  assert.equal(world.provider.tokenCalls, 1, 'an unchanged source goes on with its credential');
}

/** Another policy each time, and another wait. */
function variant(text: string, i: number): string {
  return `${text}  - { name: extra-${i}, match: { hosts: [extra-${i}.example.com] }, inject: { source: orders } }\nmax_wait: ${1_000 + i}ms\n`;
}

async function until(bearerd: StartedProcess, what: string, count: number): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (bearerd.output().split(what).length - 1 < count) {
    if (performance.now() > deadline)
      assert.fail(`no ${count}. "${what}":\n${bearerd.output().slice(-2_000)}`);
    await sleep(2);
  }
}
