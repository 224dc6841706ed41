// bearerd status asks a running bearerd; a provider that is away and a refused configuration show.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { findingsOf } from '../../../src/app/findings.ts';
import type { Facts, Status } from '../../../src/app/status.ts';
import { createAdminServer } from '../../../src/server/admin.ts';
import { nullObserver } from '../../../src/telemetry/observer.ts';
import { bearerd as inProcess } from '../../support/command-line.ts';
import { startProcess } from '../../support/process.ts';
import { createSocketFolder } from '../../support/sockets.ts';

test('status shows sources, endpoints, policies and a refused configuration, and never a value', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-status-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'bearerd.yaml');
  writeFileSync(join(folder, 'key'), 'canary-value\n');
  // Port 9 of loopback: nobody listens there.
  const text = `version: 1
mode: development
listen: { check: "unix://${folder}/check.sock", admin: "unix://${folder}/admin.sock" }
sources:
  legacy: { file: { path: ${folder}/key } }
  away:
    client_credentials:
      { token_endpoint: "http://127.0.0.1:9/token", client_id: a, client_secret: { file: ${folder}/key } }
outbound:
  - { name: maps, match: { hosts: [maps.example.com] }, inject: { source: legacy, header: x-api-key, prefix: "" } }
  - { name: orders, match: { hosts: [orders.example.com] }, inject: { source: away } }
`;
  writeFileSync(file, text);
  const status = async (...more: string[]) => {
    const asked = await startProcess(process.execPath, [
      ...['bin/bearerd.js', 'status', '--config', file],
      ...more,
    ]);
    const { code } = await asked.exited;
    return { code, output: asked.output() };
  };
  const none = await status();
  assert.equal(none.code, 1);
  assert.match(
    none.output,
    /admin\.sock cannot be asked: ENOENT \(is a bearerd running, with this configuration\?\)/,
  );

  const bearerd = await startProcess(process.execPath, ['bin/bearerd.js', 'serve', '--config', file]);
  t.after(() => bearerd.stop());
  await bearerd.waitForOutput(/"listener":"admin","state":"listening"/);
  await bearerd.waitForOutput(/source_unavailable/);
  const { code, output } = await status();
  t.diagnostic(`\n${output}`);
  assert.equal(code, 0, output);
  assert.match(output, /^bearerd \S+ on \S+: ready\nconfiguration: revision 1 \(\w+\) since \d/);
  assert.match(
    output,
    /^CRITICAL +source away +no credential: source_unavailable: the provider cannot be reached \(ECONNREFUSED\): nothing listens there; next attempt in \d/m,
  );
  assert.match(output, /^legacy +file +endless +- +1 +1 ok, 0 failed +-$/m);
  assert.match(output, /^away +client_credentials +none .*0 ok, [1-9]\d* failed +source_unavailable$/m);
  assert.match(output, /^http:\/\/127\.0\.0\.1:9\/token +(closed|open|half_open) /m);
  assert.match(output, /^maps +legacy +x-api-key +off +deny +enforce +- +-$/m);
  assert.doesNotMatch(output, /canary/);

  const watching = await startProcess(process.execPath, [
    ...['bin/bearerd.js', 'status', '--watch', '--config', file],
  ]);
  t.after(() => watching.stop());
  await watching.waitForOutput(/^SOURCE[\s\S]*^SOURCE/m);
  await watching.stop();
  assert.doesNotMatch(watching.output(), /\x1b/, 'plain lines in a pipe');

  const told = await status('--json');
  const { sources, endpoints } = JSON.parse(told.output) as Status;
  assert.deepEqual(
    sources.map((one) => [one.source, one.lastFailure]),
    [
      ['legacy', undefined],
      ['away', 'source_unavailable'],
    ],
  );
  // By minutes, of which another one may just have begun.
  assert.ok(endpoints[0]!.lastHour.slice(-2).some((minute) => minute['calls']! >= 1));

  writeFileSync(file, text.replace('version: 1', 'version: 1\nstartup_wait: never'));
  await bearerd.waitForOutput(/was not taken over/);
  // The command reads the file for the socket's path only.
  writeFileSync(join(folder, 'same.yaml'), text);
  const asked = await startProcess(process.execPath, [
    ...['bin/bearerd.js', 'status', '--config', join(folder, 'same.yaml')],
  ]);
  assert.equal((await asked.exited).code, 1);
  assert.match(asked.output(), /a newer one was refused: .*startup_wait/);
});

test('--json is JSON whatever strangers call themselves and whatever is wrong, and a terminal obeys none of it', async (t) => {
  const sockets = createSocketFolder();
  t.after(() => sockets.remove());
  const file = join(sockets.folder, 'bearerd.yaml');
  writeFileSync(
    file,
    `version: 1\nlisten: { check: "unix:///c", admin: "unix://${sockets.folder}/admin.sock" }\n`,
  );
  const json = async (config = file) => {
    const { code, out, err } = await inProcess('status', '--config', config, '--json');
    assert.doesNotMatch(out + err, /[^\n\P{C}]|[\p{Zl}\p{Zp}]/u);
    return { code, err, said: JSON.parse(out) as Status & { error?: string } };
  };
  for (const [config, why] of [
    [file, /admin\.sock cannot be asked: ENOENT/],
    [join(sockets.folder, 'none.yaml'), /none\.yaml: cannot be read: ENOENT/],
    [join(sockets.folder, 'none\x9b2J\u2028'), /cannot be read: ENOENT/],
  ] as const) {
    const { code, said, err } = await json(config);
    assert.equal(code, 1);
    assert.match(said.error!, why);
    assert.match(err, why);
  }

  const node = 'sidecar~\x9b2J\x1b]0;t\x07\u202e\u2028\nCRITICAL  source orders';
  let body: unknown = { no: 'status' };
  const server = createAdminServer(sockets.address('admin.sock'), {
    status: () => body,
    observer: nullObserver,
  });
  await server.start();
  t.after(() => server.stop());
  const other = await json();
  assert.equal(other.code, 1);
  assert.match(other.said.error!, /admin\.sock cannot be asked: what answers there is no bearerd/);
  const secret = { name: 'orders', version: '1', filled: true };
  const status = {
    ...{
      version: '1',
      mode: 'production',
      node,
      now: 2,
      startedAt: '',
      missing: [],
      sources: [],
      endpoints: [],
    },
    configuration: { revision: 1, hash: '', since: '', refused: undefined },
    ...{ guard: [], policies: [], unmatched: [], feedback: [], inboundPolicies: [], inputs: [] },
    subscribers: [{ node, listener: 'xds', secrets: [{ ...secret, rejected: { version: '1', at: 1 } }] }],
    ...{ subscribersLeftOut: 0, certificates: [], policyBundle: undefined, inbound: undefined },
    ...{ audit: undefined, sharedCache: undefined, spansLost: undefined },
  } satisfies Facts;
  body = { ...status, findings: findingsOf(status) };
  const { code, said } = await json();
  assert.deepEqual([code, said.node, said.subscribers[0]!.node], [0, node, node], 'and nothing is lost');
  const { out } = await inProcess('status', '--config', file);
  assert.doesNotMatch(out, /[^\n\P{C}]|[\p{Zl}\p{Zp}]/u);
  assert.doesNotMatch(out, /^CRITICAL +source orders/m);
});
