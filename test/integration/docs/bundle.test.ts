// The example of docs/bundle.md as it stands there: its commands sign and verify, a server hands it out, bearerd takes it over.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { createAuthority } from '../../../demo/certificates.ts';
import { blocksBelow } from '../../support/doc-blocks.ts';
import { writeDocExample } from '../../support/doc-example.ts';
import { runBlock } from '../../support/doc-shell.ts';
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

  const [signing, asking] = blocksBelow('docs/bundle.md', 'Example').filter(
    ({ language }) => language === 'sh',
  );
  const [, , , verified] = await runBlock(t, signing!, folder);
  assert.match(verified!, /^production\.jws: ok, production, serial \d+, until .*: policies\.yaml\n$/);
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

  const request = 'GET http://orders.example.com/';
  writeFileSync(
    join(folder, 'cases.yaml'),
    stringify({ cases: [{ request, expect: { policy: 'orders' } }] }),
  );
  writeFileSync(
    join(folder, 'access.json'),
    '{"method":"GET","authority":"orders.example.com","path":"/"}\n',
  );
  const [explained, tested, simulated] = await runBlock(t, asking!, folder);
  assert.match(explained!, /^policy +orders /m);
  assert.match(tested!, /^1 passed, 0 failed$/m);
  assert.match(simulated!, /^1 requests, 1 decided as before/m);

  // A bad one afterwards: the policy stays, and the reason is shown.
  server.content = '<html>maintenance</html>';
  bearerd.child.kill('SIGHUP');
  await bearerd.waitForOutput(/"input":"policy bundle","reason":"it is no JWS"/);
  const after = await run(node!, [...bin, 'status', '--config', configFile]);
  assert.match(after.stdout, /the last answer was refused: it is no JWS\n/);
  assert.match(after.stdout, /orders +orders +x-api-key/);
  assert.ok(!`${bearerd.output()}${after.stdout}`.includes('canary-key'));
});
