// Reloads of a running bearerd under load, some of them of broken configurations.
import assert from 'node:assert/strict';
import { appendFileSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createWorld, type World } from '../../demo/world.ts';
import type { Door } from '../../src/doors/generate/plan.ts';
import { load, statuses } from './load.ts';
import { BUNDLE_NAME, createBundleSigner, startBundleServer } from './policy-bundles.ts';
import type { StartedProcess } from './process.ts';

/** What is exchanged: the one file, a file of a directory, or the signed bundle. */
export type ReloadedForm = 'file' | 'directory' | 'bundle';

export interface Reloads {
  readonly door: Door;
  /** Default file. */
  readonly form?: ReloadedForm;
  readonly reloads: number;
  readonly perSecond: number;
}

/** Every tenth configuration is broken. No request may notice any of it. */
export async function reloadUnderLoad(
  t: TestContext,
  { door, form = 'file', reloads, perSecond }: Reloads,
): Promise<void> {
  const world = await createWorld({ lifetimeSeconds: 600 });
  t.after(() => world.stop());
  const { config, replace, taken, refused } = await FORMS[form](t, world);
  const bearerd = await world.startBearerd(config);
  await world.ready();
  const { send } = await world.startEnvoy(door);
  assert.equal((await send('/v1/orders')).status, 200);

  let done = false;
  const sent: { readonly status: number }[] = [];
  const loading = (async () => {
    while (!done) sent.push(...(await load(() => send('/v1/orders'), perSecond, 1)));
  })();
  const took: number[] = [];
  // A bundle took over at the start.
  const before = bearerd.output().split(taken).length - 1;
  for (let i = 1; i <= reloads; i++) {
    const broken = i % 10 === 0;
    await replace(broken ? `unknown_key: ${i}\n` : variant(i), i);
    const begun = performance.now();
    process.kill(bearerd.pid, 'SIGHUP');
    await until(bearerd, broken ? refused : taken, broken ? i / 10 : before + i - Math.floor(i / 10));
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

/** Another policy each time. */
function variant(i: number): string {
  return `outbound:\n  - { name: extra-${i}, match: { hosts: [extra-${i}.example.com] }, inject: { source: orders } }\n`;
}

interface Exchange {
  /** What bearerd is started with. */
  readonly config: string;
  /** `lines`: the outbound policies beside those of the world, or something broken. */
  replace(lines: string, i: number): Promise<void> | void;
  /** In the log. */
  readonly taken: string;
  readonly refused: string;
}

const LOGGED = { taken: 'another configuration took over', refused: 'was not taken over' };

const FORMS: Record<ReloadedForm, (t: TestContext, world: World) => Exchange | Promise<Exchange>> = {
  file(_, { configFile }) {
    const text = readFileSync(configFile, 'utf8');
    return {
      ...LOGGED,
      config: configFile,
      replace: (lines, i) =>
        writeFileSync(configFile, `${text}${lines.replace('outbound:\n', '')}max_wait: ${1_000 + i}ms\n`),
    };
  },
  directory(_, { configFile, folder }) {
    const config = join(folder, 'configuration');
    mkdirSync(config);
    copyFileSync(configFile, join(config, '00-world.yaml'));
    return {
      ...LOGGED,
      config,
      replace: (lines, i) =>
        writeFileSync(join(config, '10-extra.yaml'), `version: 1\n${lines}max_wait: ${1_000 + i}ms\n`),
    };
  },
  async bundle(t, { configFile, folder, authority }) {
    const server = await startBundleServer(authority);
    t.after(() => server.stop());
    const signer = createBundleSigner();
    const replace = async (lines: string, i: number) => {
      server.content = await signer.sign(i, { 'extra.yaml': `version: 1\n${lines}` });
    };
    await replace(variant(0), 0);
    writeFileSync(join(folder, 'bundle-keys.pem'), signer.publicPem);
    appendFileSync(
      configFile,
      `policy_bundle: { url: "${server.url}", name: ${BUNDLE_NAME}, keys: bundle-keys.pem, ca_file: ${authority.ca}, poll: 1h, allow: { sources: [orders] } }\nstate_dir: ${folder}\n`,
    );
    return {
      config: configFile,
      replace,
      taken: '"msg":"a policy bundle took over"',
      refused: 'the last good one, if there is one, counts on',
    };
  },
};

async function until(bearerd: StartedProcess, what: string, count: number): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (bearerd.output().split(what).length - 1 < count) {
    if (performance.now() > deadline)
      assert.fail(`no ${count}. "${what}":\n${bearerd.output().slice(-2_000)}`);
    await sleep(2);
  }
}
