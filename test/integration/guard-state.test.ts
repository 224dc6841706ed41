// The state of the guard over restarts of the real application: what is kept, what is not read, and that no secret is in it.
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { type App, createApp } from '../../src/app/app.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { parseRuntime } from '../../src/lib/runtime.ts';
import { nextStates, type PolicyState } from '../../src/policy/guard/versions.ts';

let folder: string;
let stateFile: string;
let lines: string[];
let app: App | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bearerd-guard-'));
  stateFile = join(folder, 'state', 'guard.json');
  writeFileSync(join(folder, 'one'), 'token-one', { mode: 0o600 });
  writeFileSync(join(folder, 'two'), 'token-two', { mode: 0o600 });
  lines = [];
});
afterEach(async () => {
  await app?.stop(0);
  rmSync(folder, { recursive: true, force: true });
});

function configOf(source: string, extra = '') {
  return parseConfig(
    `version: 1
mode: development
listen: { check: 'unix://${folder}/check.sock' }
state_dir: state
sources:
  orders: ${source}
outbound:
  - { name: orders, match: { hosts: [orders.example.com] }, inject: { source: orders }, guard: {} }
${extra}`,
    join(folder, 'bearerd.yaml'),
  );
}
const file = (name: string) => `{ file: { path: ${folder}/${name} } }`;

async function start(config: ReturnType<typeof configOf>): Promise<App> {
  await app?.stop(0);
  app = await createApp(config, {
    ...{ clock: systemClock, env: {}, random: Math.random, version: 'test' },
    runtime: parseRuntime({}, process.versions.node, true),
    log: { write: (line) => void lines.push(line) },
  });
  await app.start();
  return app;
}

const written = () =>
  JSON.parse(readFileSync(stateFile, 'utf8')) as { policies: Record<string, PolicyState> };
/** As an alarm of a process before left it. */
function leaveSteppedBack(): void {
  const good = nextStates(new Map(), configOf(file('one'))).get('orders')!.current;
  const state = nextStates(new Map(), configOf(file('two'))).get('orders')!;
  const policies = { orders: { ...state, good, alarm: 'stepped_back' } };
  mkdirSync(join(folder, 'state'), { recursive: true });
  writeFileSync(stateFile, JSON.stringify({ format: 1, policies }), { mode: 0o600 });
}
const injected = (running: App) => running.policies.byName('orders')!.source;

test('what was stepped back still is after a restart, and says so; another version lifts it', async () => {
  leaveSteppedBack();
  const running = await start(configOf(file('two')));
  assert.match(injected(running), /^orders@/);
  assert.match(lines.join(''), /"alarm":"stepped_back"/);
  const credential = await running.store.get(injected(running), 1_000);
  assert.equal(credential.value.reveal(), 'token-one');
  assert.ok(await running.reload(async () => configOf(file('two'), 'unmatched: deny')));
  assert.match(injected(running), /^orders@/, 'the same version of the policy');
  assert.ok(await running.reload(async () => configOf(file('one'))));
  assert.equal(injected(running), 'orders');
});

test('it is for its owner alone, and has no secret of the configuration in it', async () => {
  const secret = 'in-the-file-itself';
  await start(configOf(`{ static: { value: { inline: ${secret} } } }`));
  await app!.stop(0);
  assert.equal(statSync(stateFile).mode & 0o777, 0o600);
  assert.deepEqual(written().policies, {});
  await start(configOf(file('one')));
  await app!.stop(0);
  assert.deepEqual(Object.keys(written().policies), ['orders']);
});

test('a damaged one, one of another format and one that others may write are told and not read', async () => {
  for (const [harm, why] of [
    [() => writeFileSync(stateFile, '{ "format": 1, "poli'), /JSON/],
    [() => writeFileSync(stateFile, '{"format":1}'), /convert/],
    [() => writeFileSync(stateFile, '{"format":1,"policies":{"orders":{"current":null}}}'), /./],
    [() => writeFileSync(stateFile, '{"format":2,"policies":{}}'), /format of another version/],
    [() => chmodSync(stateFile, 0o666), /may be written by others/],
    [
      () =>
        writeFileSync(
          stateFile,
          readFileSync(stateFile, 'utf8').replaceAll('orders.example', 'evil.example'),
        ),
      /is damaged at policy orders/,
    ],
  ] as const) {
    await app?.stop(0);
    lines = [];
    leaveSteppedBack();
    harm();
    const running = await start(configOf(file('two')));
    assert.equal(injected(running), 'orders');
    const told = lines.find((line) => line.includes('does not outlive a restart'));
    assert.match(told ?? '', why);
  }
});

test('a folder that cannot be written is told, and everything goes on in memory', async () => {
  writeFileSync(join(folder, 'state'), 'a file in its place');
  const running = await start(configOf(file('one')));
  assert.equal(injected(running), 'orders');
  assert.match(lines.join(''), /does not outlive a restart/);
});
