// A running process as an attacker or an accident finds it: no core files, no debugger by signal, and an unexpected error
// ends it in order and without a word of what it worked on.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseSidecarFile } from '../../../src/config/sidecar-file.ts';
import { buildSidecar } from '../../../src/kubernetes/sidecar.ts';
import { startProcess } from '../../support/process.ts';

const folder = mkdtempSync(join(tmpdir(), 'bearerd-runtime-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const TOKEN = 'canary-6b1f0a';

async function served(env: NodeJS.ProcessEnv = {}) {
  const config = join(folder, 'bearerd.yaml');
  writeFileSync(join(folder, 'key'), TOKEN);
  writeFileSync(
    config,
    `version: 1
listen: { check: unix://${folder}/check.sock, health: 127.0.0.1:0 }
sources: { key: { required: true, static: { value: { file: key } } } }
outbound: [{ name: x, match: { hosts: [x.example.com] }, inject: { source: key } }]
`,
  );
  const bearerd = await startProcess(process.execPath, ['bin/bearerd.js', 'serve', '--config', config], {
    name: 'bearerd',
    env: { ...process.env, ...env },
  });
  const [, address] = await bearerd.waitForOutput(
    /"listener":"health","state":"listening","address":"([^"]+)"/,
  );
  return {
    bearerd,
    address: address!,
    get: async (path: string) => (await fetch(`http://${address}${path}`)).status,
  };
}

test('the startup probe of the sidecar ends with 0 once it has started, and with 1 where nobody answers', async (t) => {
  const { bearerd, address, get } = await served();
  t.after(() => bearerd.stop());
  assert.equal(await get('/startupz'), 200);
  const { startupProbe } = buildSidecar(parseSidecarFile('image: x:1', 'sidecar.yaml'));
  const [, ...args] = (startupProbe as { exec: { command: string[] } }).exec.command;
  const probe = async (at: string) => {
    const started = performance.now();
    const asked = args.map((arg) => arg.replace('127.0.0.1:9193', at));
    const { code } = await (await startProcess(process.execPath, asked)).exited;
    return { code, ms: performance.now() - started };
  };
  const { code, ms } = await probe(address);
  assert.equal(code, 0);
  assert.equal((await probe('127.0.0.1:1')).code, 1);
  t.diagnostic(`${ms.toFixed(0)} ms`);
});

test('core files hold no memory and are off, and SIGUSR1 opens no debugger', async (t) => {
  const { bearerd, get } = await served();
  t.after(() => bearerd.stop());
  assert.equal(readFileSync(`/proc/${bearerd.pid}/coredump_filter`, 'utf8').trim(), '00000000');
  assert.match(
    readFileSync(`/proc/${bearerd.pid}/limits`, 'utf8'),
    /Max core file size\s+0\s+0/,
    'ulimit -c 0',
  );
  bearerd.child.kill('SIGUSR1');
  await sleep(300);
  assert.equal(await get('/livez'), 200);
  assert.equal(await get('/startupz'), 200);
  assert.doesNotMatch(bearerd.output(), /Debugger listening/);
  assert.match(bearerd.output(), /"options":"","coreFilesEmpty":true,"msg":"starting"/);
});

test('an unexpected error is told by fixed text, NODE_OPTIONS by name, and calls are drained before the end', async (t) => {
  const thrower = join(folder, 'thrower.cjs');
  writeFileSync(thrower, `process.on('SIGUSR2', () => { throw new Error('${TOKEN}') })`);
  const { bearerd } = await served({ NODE_OPTIONS: `--require=${thrower}`, NODE_DEBUG: 'none' });
  t.after(() => bearerd.stop());
  assert.match(bearerd.output(), /"level":"warn"[^\n]*"risky":"--require NODE_DEBUG"/);
  assert.ok(!bearerd.output().includes('thrower.cjs'), 'names, not values');
  bearerd.child.kill('SIGUSR2');
  const { code } = await bearerd.exited;
  assert.equal(code, 1);
  assert.match(bearerd.output(), /bearerd: unexpected error, ending\n {4}at /);
  assert.match(bearerd.output(), /"listener":"check","state":"draining"/);
  assert.match(bearerd.output(), /"listener":"health","state":"closed"/);
  assert.doesNotMatch(bearerd.output(), new RegExp(TOKEN));
});
