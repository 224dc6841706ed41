// The example of docs/bundle.md as it stands there: its commands sign and verify, a server hands it out, bearerd takes it over.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { createAuthority } from '../../../demo/certificates.ts';
import { writeDocExample } from '../../support/doc-example.ts';
import { startBundleServer } from '../../support/policy-bundles.ts';
import { startProcess } from '../../support/process.ts';

const run = promisify(execFile);
const BEARERD = [process.execPath, join(import.meta.dirname, '../../../bin/bearerd.js')];

test('the example of docs/bundle.md: signed, verified, served, in force, and shown by bearerd status', async (t) => {
  const { folder, configFile } = await writeDocExample(t, 'docs/bundle.md', 'Example');
  const authority = await createAuthority(folder);
  copyFileSync(authority.ca, join(folder, 'bundle-ca.pem'));
  writeFileSync(join(folder, 'orders-key'), 'canary-key');
  const server = await startBundleServer(authority);
  t.after(() => server.stop());
  const local = readFileSync(configFile, 'utf8');
  writeFileSync(configFile, local.replace('https://policies.example.com/production.jws', server.url));

  const commands = /```sh\n([\s\S]*?)```/.exec(readFileSync('docs/bundle.md', 'utf8'))![1]!;
  const script = commands.replaceAll(/^bearerd /gm, `${BEARERD.join(' ')} `);
  const { stdout } = await run('sh', ['-e', '-c', script], { cwd: folder });
  assert.match(stdout, /^production\.jws: ok, production, serial \d+, until .*: policies\.yaml\n$/);
  server.content = readFileSync(join(folder, 'production.jws'));

  const [node, ...bin] = BEARERD;
  const bearerd = await startProcess(node!, [...bin, 'serve', '--config', configFile], { name: 'bearerd' });
  t.after(() => bearerd.stop());
  await bearerd.waitForOutput(/a policy bundle took over/);
  await bearerd.waitForOutput(/credential published/);
  const status = await run(node!, [...bin, 'status', '--config', configFile]);
  assert.match(status.stdout, /: ready\n/);
  assert.match(status.stdout, /policy bundle production: serial \d+ until [^,]+, confirmed 2/);
  assert.match(status.stdout, /orders +orders +x-api-key/);

  // A bad one afterwards: the policy stays, and the reason is shown.
  server.content = '<html>maintenance</html>';
  bearerd.child.kill('SIGHUP');
  await bearerd.waitForOutput(/"input":"policy bundle","reason":"it is no JWS"/);
  const after = await run(node!, [...bin, 'status', '--config', configFile]);
  assert.match(after.stdout, /the last answer was refused: it is no JWS\n/);
  assert.match(after.stdout, /orders +orders +x-api-key/);
  assert.ok(!`${bearerd.output()}${after.stdout}`.includes('canary-key'));
});
