// Every example of docs/sources.md runs: bearerd starts with it and gets its credential from the kind of part it names.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type DocExample, writeDocExample } from '../../support/doc-example.ts';
import { startUpstream } from '../../support/gateway.ts';
import { LOGIN_SECRET, startLoginProvider } from '../../support/login-provider.ts';
import { startProcess } from '../../support/process.ts';
import { storeLogin } from '../../support/stored-login.ts';

const DOCUMENT = 'docs/sources.md';

/** The part that the example names, and the files that others bring. */
const EXAMPLES: Readonly<Record<string, (t: TestContext) => Promise<DocExample>>> = {
  async http(t) {
    const port = await startUpstream(t, (request, response) => {
      assert.equal(request.headers['x-api-key'], 'the-key');
      response.setHeader('content-type', 'application/json');
      const expires = new Date(Date.now() + 600_000).toISOString();
      response.end(JSON.stringify({ session: { token: 'short-lived', expires } }));
    });
    const example = await writeDocExample(t, DOCUMENT, 'http', {
      'version: 1': 'version: 1\nmode: development',
      'https://weather.example.com': `http://127.0.0.1:${port}`,
    });
    writeFileSync(join(example.folder, 'weather-key'), 'the-key\n');
    return example;
  },
  exec: (t) => writeDocExample(t, DOCUMENT, 'exec'),
  async refresh_token(t) {
    const provider = await startLoginProvider();
    t.after(() => provider.stop());
    const example = await writeDocExample(t, DOCUMENT, 'refresh_token', {
      'version: 1': 'version: 1\nmode: development',
      'https://login.example.com': provider.issuer,
      '/var/lib/bearerd': '.',
    });
    writeFileSync(join(example.folder, 'checkout'), LOGIN_SECRET);
    writeFileSync(join(example.folder, 'refresh-key'), randomBytes(32).toString('base64'));
    await storeLogin(example.configFile, 'calendar', await provider.newRefreshToken());
    return example;
  },
  async api_keys(t) {
    const example = await writeDocExample(t, DOCUMENT, 'api_keys');
    for (const name of ['maps-2026-08', 'maps-2026-11']) writeFileSync(join(example.folder, name), 'key\n');
    return example;
  },
};

for (const [kind, prepare] of Object.entries(EXAMPLES)) {
  test(`the example of ${kind} gets its credential`, async (t) => {
    const { configFile } = await prepare(t);
    const bearerd = await startProcess(
      process.execPath,
      ['bin/bearerd.js', 'serve', '--config', configFile],
      { name: 'bearerd' },
    );
    t.after(() => bearerd.stop());
    const [, address] = await bearerd.waitForOutput(
      /"listener":"health","state":"listening","address":"([^"]+)"/,
    );
    let status = 0;
    for (let i = 0; i < 250 && status !== 200; i++) {
      status = (await fetch(`http://${address}/readyz`)).status;
      if (status !== 200) await sleep(40);
    }
    assert.equal(status, 200, bearerd.output());
  });
}
