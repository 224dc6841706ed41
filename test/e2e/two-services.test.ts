// The README's two services, by its own commands: from nothing to enforced on both sides, and no line of theirs changed.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { isFree } from '../support/ports.ts';
import { startProcess } from '../support/process.ts';

const ROOT = join(import.meta.dirname, '../..');
const SECTION = /^## Two services in five commands\n\n```sh\n([\s\S]*?)```\n([\s\S]*?)^## /m;

test('five commands of the README take two services from nothing to enforced', async (t) => {
  const [, block, after] = SECTION.exec(readFileSync(join(ROOT, 'README.md'), 'utf8'))!;
  const commands = block!.trim().split('\n');
  assert.equal(commands.length, 5);
  const off = /`(sed [^`]+)`/.exec(after!)![1]!;

  const folder = mkdtempSync(join(tmpdir(), 'bearerd-example-'));
  const base = await tenPorts();
  t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }));
  const here = (command: string) =>
    command
      .replaceAll('examples/two-services/run', folder)
      .replaceAll(/localhost:800(\d)/g, (_, i) => `localhost:${base + Number(i)}`);
  const shell = async (command: string) =>
    (await promisify(execFile)('sh', ['-c', here(command)], { cwd: ROOT })).stdout;

  assert.match(commands[0]!, /^npm run example /);
  const example = await startProcess(process.execPath, ['examples/two-services/run.ts'], {
    name: 'example',
    cwd: ROOT,
    env: { ...process.env, EXAMPLE_PORTS: String(base), EXAMPLE_FOLDER: folder },
  });
  t.after(() => example.stop());
  await example.waitForOutput(/Both policies are in shadow/, 60_000);

  const order = () => shell(commands[1]!);
  assert.equal(await order(), 'item 7: 3 left\n');
  const shadow = await shell(commands[2]!);
  assert.match(shadow, /bearerd_checks_total\{policy="stock",decision="pass",reason="shadow"\} 1/);
  assert.match(shadow, /bearerd_inbound_shadow_refused_total\{policy="items",reason="no_credential"\} 1/);

  const metrics = () => shell(commands[2]!);
  /** Orders until the metric has moved; each is answered as `expected`. */
  const orderUntil = async (moved: RegExp, expected: RegExp) => {
    for (const deadline = performance.now() + 30_000; ; ) {
      assert.match(await order(), expected);
      if (moved.test(await metrics())) return;
      assert.ok(performance.now() < deadline, `${moved} not within 30 s`);
      await sleep(100);
    }
  };
  await shell(commands[3]!);
  await orderUntil(/decision="inject",reason="injected"\} [1-9]/, /^item 7: 3 left\n$/);
  await shell(commands[4]!);
  await sleep(1_500);
  assert.equal(await order(), 'item 7: 3 left\n');
  await shell(off);
  await orderUntil(
    /inbound_refused_total\{policy="items",reason="no_credential"\} [1-9]/,
    /^(item 7|stock answered 401)/,
  );
  assert.equal(await order(), 'stock answered 401\n');

  for (const service of ['shop.js', 'stock.js']) {
    const code = readFileSync(join(ROOT, 'examples/two-services', service), 'utf8').replaceAll(
      /^\/\/.*$/gm,
      '',
    );
    assert.doesNotMatch(code, /auth|token|bearer|certificate|tls|https/i, service);
  }
});

/** The first of ten free ports in a row. */
async function tenPorts(): Promise<number> {
  for (let base = 20_000 + 10 * Math.floor(Math.random() * 1_000); ; base += 10) {
    const free = await Promise.all(Array.from({ length: 10 }, (_, i) => isFree(base + i)));
    if (free.every(Boolean)) return base;
  }
}
