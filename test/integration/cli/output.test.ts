// Who reads the log lines of `serve` and `webhook` may go away or stand still: requests go on, and the end comes in time. Their
// standard output is a FIFO, as containerd's.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { get } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createAuthority } from '../../../demo/certificates.ts';
import { freePort } from '../../support/ports.ts';
import { createSocketFolder } from '../../support/sockets.ts';

function folderOf(t: TestContext): string {
  const { folder, remove } = createSocketFolder();
  t.after(remove);
  return folder;
}

function startBearerd(t: TestContext, folder: string, args: readonly string[]) {
  const fifo = join(folder, 'stdout');
  execFileSync('mkfifo', [fifo]);
  // For reading too: opening it waits for nobody, and nothing is read.
  const output = openSync(fifo, 'r+');
  const writer = openSync(fifo, 'w');
  const child = spawn(process.execPath, ['bin/bearerd.js', ...args], {
    stdio: ['ignore', writer, 'inherit'],
  });
  closeSync(writer);
  t.after(() => child.kill('SIGKILL'));
  const exited = once(child, 'exit');
  return {
    stopReading: () => closeSync(output),
    async end() {
      const begun = performance.now();
      child.kill('SIGTERM');
      const [code, signal] = await Promise.race([exited, sleep(15_000, ['still there'], { ref: false })]);
      return { code, signal, ms: performance.now() - begun };
    },
  };
}

async function answered(ask: () => Promise<string>): Promise<void> {
  for (const end = Date.now() + 20_000; ; await sleep(20)) {
    if (await ask().catch(() => undefined)) return;
    assert.ok(Date.now() < end, 'it does not start');
  }
}

async function startServe(t: TestContext, audit: string) {
  const folder = folderOf(t);
  const socketPath = join(folder, 'admin.sock');
  writeFileSync(join(folder, 'token'), 'a-token', { mode: 0o600 });
  writeFileSync(
    join(folder, 'bearerd.yaml'),
    `version: 1
listen: { check: 'unix://${folder}/check.sock', admin: 'unix://${socketPath}' }
${audit}sources: { orders: { file: { path: token } } }
outbound: [{ name: orders, match: { hosts: [orders.example.com] }, inject: { source: orders } }]
`,
  );
  const bearerd = startBearerd(t, folder, ['serve', '--config', join(folder, 'bearerd.yaml')]);

  function ask(method: string, path: string, body = ''): Promise<string> {
    return new Promise((resolve, reject) => {
      const call = request({ socketPath, method, path, timeout: 5_000 }, async (answer) => {
        let text = '';
        for await (const chunk of answer.setEncoding('utf8')) text += chunk;
        resolve(text);
      });
      call.on('timeout', () => call.destroy(new Error(`${path} is not answered`)));
      call.on('error', reject);
      call.end(body);
    });
  }
  /** A line each. */
  async function writeLines(count: number): Promise<void> {
    for (let i = 0; i < count; i++)
      await ask('POST', '/v1/log-level', JSON.stringify({ level: i % 2 === 0 ? 'debug' : 'info' }));
  }
  await answered(() => ask('GET', '/status'));
  return { ...bearerd, ask, writeLines };
}

for (const audit of ['', 'audit: { sink: stdout }\n']) {
  const and = audit === '' ? '' : ', and of the audit trail';

  test(`without a reader of its log lines${and} it serves on, and ends as asked`, async (t) => {
    const bearerd = await startServe(t, audit);
    bearerd.stopReading();
    await bearerd.writeLines(3);
    assert.match(await bearerd.ask('GET', '/status'), /"orders"/);
    const { code, signal } = await bearerd.end();
    assert.deepEqual([code, signal], [0, null]);
  });

  test(`a reader of its log lines${and} that stands still holds neither requests nor the end`, async (t) => {
    const bearerd = await startServe(t, audit);
    // More than the pipe takes, 64 KiB, and than is kept for it.
    await bearerd.writeLines(2_000);
    assert.match(await bearerd.ask('GET', '/status'), /"orders"/);
    const { code, signal, ms } = await bearerd.end();
    t.diagnostic(`ended after ${ms.toFixed(0)} ms`);
    assert.deepEqual([code, signal], [0, null]);
    assert.ok(ms < 10_000, `${ms} ms`);
  });
}

test('the webhook, too, goes on without a reader', async (t) => {
  const folder = folderOf(t);
  const authority = await createAuthority(folder);
  const { cert, key } = await authority.issue('localhost', 'server');
  writeFileSync(join(folder, 'sidecar.yaml'), 'image: bearerd:test\nconfig_map: bearerd\n');
  const port = await freePort();
  const bearerd = startBearerd(t, folder, [
    ...['webhook', '--sidecar', join(folder, 'sidecar.yaml'), '--listen', `127.0.0.1:${port}`],
    ...['--certificate', cert, '--private-key', key],
  ]);
  const alive = () =>
    new Promise<string>((resolve, reject) => {
      get({ host: '127.0.0.1', port, path: '/livez', rejectUnauthorized: false, agent: false }, (answer) => {
        answer.resume();
        resolve(String(answer.statusCode));
      }).on('error', reject);
    });
  await answered(alive);
  bearerd.stopReading();
  // Told in a line: no TLS.
  const stranger = connect(port, '127.0.0.1').on('error', () => {});
  stranger.end('hello\n');
  await once(stranger, 'close');
  assert.equal(await alive(), '200');
  const { code, signal } = await bearerd.end();
  assert.deepEqual([code, signal], [0, null]);
});
