// The command line as its user calls it: the launcher and the bundle.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { type StartedProcess, startProcess } from '../../support/process.ts';

const folder = mkdtempSync(join(tmpdir(), 'bearerd-cli-'));
after(() => rmSync(folder, { recursive: true, force: true }));

async function bearerd(...args: string[]) {
  const process_ = await startProcess(process.execPath, ['bin/bearerd.js', ...args], { name: 'bearerd' });
  const { code } = await process_.exited;
  return { code, output: process_.output() };
}

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

test('help, version and a mistyped verb', async () => {
  assert.match(
    (await bearerd('--help')).output,
    /serve[\s\S]*check-config[\s\S]*explain[\s\S]*generate envoy/,
  );
  assert.match((await bearerd('--version')).output, /^\d+\.\d+\.\d+\n$/);
  const wrong = await bearerd('serv');
  assert.equal(wrong.code, 2);
  assert.match(wrong.output, /did you mean serve\?/);
  const flag = await bearerd('serve', '--confg', 'x');
  assert.equal(flag.code, 2);
  assert.match(flag.output, /did you mean --config\?/);
});

test('a wrong command line is told in a few lines, with the way out', async () => {
  const lines = async (...args: string[]) => {
    const { code, output } = await bearerd(...args);
    assert.equal(code, 2);
    assert.ok(output.split('\n').length < 10, output);
    return output;
  };
  assert.match(await lines('serve', 'x.yaml'), /unexpected "x\.yaml"; did you mean --config x\.yaml\?/);
  assert.match(
    await lines('generate', 'envoy', '--config', 'envoy/bearerd.yaml'),
    /bearerd generate envoy: --door is missing[\s\S]*"bearerd generate envoy --help" has the options/,
  );
  assert.match(
    await lines('generate', 'isto'),
    /one of envoy, istio, kubernetes, got "isto"; did you mean istio\?/,
  );
  assert.match((await bearerd('generate', 'istio', '--help')).output, /^Usage: bearerd generate istio /);
});

test('check-config tells every problem with its place and ends with 1', async () => {
  const text = 'version: 1\nmode: produktion\nlisten: { chek: unix:///x }\n';
  const bad = await bearerd('check-config', file('bad.yaml', text));
  assert.equal(bad.code, 1);
  assert.match(bad.output, /bad\.yaml:2:7: mode: .*\n.*bad\.yaml:3:11: listen\.chek: .*did you mean check/);
  const keys = Array.from({ length: 1_000 }, (_, i) => `unheard_of_${i}: 1\n`).join('');
  const many = await bearerd('check-config', file('many.yaml', `version: 1\n${keys}`));
  assert.ok(many.output.length > 128 << 10, 'more than a pipe takes at once');
  assert.match(many.output, /^1000 problems\n$/m);
  assert.equal((await bearerd('check-config', 'envoy/bearerd.yaml')).code, 0);
  assert.equal((await bearerd('check-config', '--config', 'envoy/bearerd.yaml')).code, 0);
  assert.match((await bearerd('check-config', join(folder, 'none'))).output, /no such file/);
});

test('explain tells policy, source, doors and header, and no token', async () => {
  const url = 'http://orders.prod.svc.cluster.local/v1/x?secret=1';
  const { code, output } = await bearerd('explain', '--config', 'envoy/bearerd.yaml', 'get', url);
  assert.equal(code, 0);
  assert.match(output, /policy +orders[\s\S]*header +authorization: Bearer \[credential of orders\]/);
  assert.match(output, /shared +no: there is no shared_cache/);
  assert.match(output, /goes on sending the last credential, even past its expiry/);
  assert.doesNotMatch(output, /secret=1/);
  const none = await bearerd('explain', '--config', 'envoy/bearerd.yaml', 'GET', 'http://other/');
  assert.match(none.output, /none matches[\s\S]*passes as it is/);
});

test('explain tells who denies a request, who would, and by which doors', async () => {
  const config = file(
    'deny.yaml',
    `version: 1
listen: { check: "unix://${folder}/check.sock" }
outbound:
  - { name: no-deletes, match: { hosts: [h], methods: [DELETE] }, deny: { status: 410 } }
  - { name: no-posts, match: { hosts: [h], methods: [POST] }, deny: true, mode: shadow }
`,
  );
  const denied = await bearerd('explain', '--config', config, 'DELETE', 'http://h/');
  assert.match(
    denied.output,
    /decision +410 \(deny\)[\s\S]*push door +no: outbound\.no-deletes\.deny cannot/,
  );
  const watched = await bearerd('explain', '--config', config, 'POST', 'http://h/');
  assert.match(watched.output, /in shadow +no-posts \(outbound\[1\]\) would answer 403[\s\S]*none matches/);
});

/** Resolves once `listener` listens. */
async function startServing(t: TestContext, config: string, listener: string): Promise<StartedProcess> {
  const started = await startProcess(process.execPath, ['bin/bearerd.js', 'serve', '--config', config]);
  t.after(() => started.stop());
  await started.waitForOutput(new RegExp(`"listener":"${listener}","state":"listening"`));
  return started;
}

test('serve listens, runs with small heap limits, ends well on SIGTERM, and names an address that is taken', async (t) => {
  const config = file(
    'ok.yaml',
    `version: 1
listen: { check: "unix://${folder}/check.sock", health: "127.0.0.1:0" }
sources: { key: { required: true, client_credentials: { token_endpoint: "https://127.0.0.1:9", client_id: a, client_secret: { file: none } } } }
`,
  );
  const begun = performance.now();
  const first = await startServing(t, config, 'health');
  t.diagnostic(`listening after ${(performance.now() - begun).toFixed(0)} ms`);
  assert.match(readFileSync(`/proc/${first.pid}/cmdline`, 'utf8'), /--max-semi-space-size=2/);
  const second = await bearerd('serve', '--config', config);
  assert.equal(second.code, 1);
  assert.match(second.output, /cannot start: listen\.check: .*check\.sock: another process listens on it/);
  assert.doesNotMatch(second.output, /"state":/, 'nothing ended that never listened');
  const [, port] = /"address":"127\.0\.0\.1:(\d+)"/.exec(first.output())!;
  const other = file(
    'other.yaml',
    readFileSync(config, 'utf8').replace(':0"', `:${port}"`).replace('check.', 'c.'),
  );
  assert.match(
    (await bearerd('serve', '--config', other)).output,
    /127\.0\.0\.1:\d+: another process listens there/,
  );
  assert.equal((await first.stop()).code, 0);
});

test('a log in the place of the configuration ends no process that serves: the configuration before stays in force', async (t) => {
  const good = `version: 1\nlisten: { check: "unix://${folder}/kept.sock" }\n`;
  const serving = await startServing(t, file('replaced.yaml', good), 'check');
  const line = `${JSON.stringify({ method: 'GET', authority: 'orders', path: '/v1/items', code: 200, user_agent: 'x'.repeat(100) })}\n`;
  file('replaced.yaml', line.repeat((4 << 20) / line.length));
  await serving.waitForOutput(/was not taken over/);
  file('replaced.yaml', `${good}max_wait: 900ms\n`);
  await serving.waitForOutput(/"revision":2/);
  assert.equal((await serving.stop()).code, 0);
});

test('a configuration for which the heap has no room is refused with how much it needs, and ends no process that serves', async (t) => {
  const good = `version: 1\nlisten: { check: "unix://${folder}/roomy.sock" }\n`;
  const serving = await startServing(t, file('roomy.yaml', good), 'check');
  const policies = Array.from(
    { length: 40_000 },
    (_, i) => `  - { name: policy-${i}, match: { hosts: [h${i}.example.com] }, deny: true }\n`,
  );
  file('roomy.yaml', `${good}outbound:\n${policies.join('')}`);
  await serving.waitForOutput(
    /"problems":"has \d+ characters, for which this process has no room: NODE_OPTIONS=--max-old-space-size=\d+ gives/,
  );
  file('roomy.yaml', `${good}max_wait: 900ms\n`);
  await serving.waitForOutput(/"revision":2/);
  assert.equal((await serving.stop()).code, 0);
});
