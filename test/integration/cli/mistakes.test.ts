// What its users get wrong on the command line, and what strangers put into the files that they look at with it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { bearerd } from '../../support/command-line.ts';
import { startProcess } from '../../support/process.ts';

const folder = mkdtempSync(join(tmpdir(), 'bearerd-mistakes-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const CONFIG = 'envoy/bearerd.yaml';

function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

const GENERATE = ['generate', 'envoy', '--config', CONFIG, '--door', 'check'];

test('a file that cannot be read or written is named, whatever option names it', async () => {
  const missing = join(folder, 'none', 'x');
  const cases = file('cases.yaml', 'cases: [{ request: GET http://h/, expect: { decision: pass } }]\n');
  for (const args of [
    [...GENERATE, '--output', missing],
    [...GENERATE, '--upstreams', missing],
    [...GENERATE, '--check-upstream', missing],
    ['generate', 'envoy', '--config', CONFIG, '--door', 'inbound', '--tls', missing],
    ['generate', 'istio', '--config', CONFIG, '--namespace', 'n', '--tls', missing],
    ['import', 'test/fixtures/envoy/credential-injector.yaml', '--output', missing],
    ['import', missing],
    ['test', cases, '--config', CONFIG, '--junit', missing],
    ['audit', 'verify', folder, '--key', cases],
  ]) {
    const { code, err } = await bearerd(...args);
    assert.equal(code, 1, args.join(' '));
    assert.match(err, args[0] === 'audit' ? /EISDIR/ : /none\/x: cannot be read|no such file.*none\/x/);
  }
});

test('a file of an option that is no YAML, or none of its kind, is told with its place', async () => {
  const broken = file('broken.yaml', 'orders: "b\n');
  for (const option of ['--upstreams', '--check-upstream']) {
    const { code, err } = await bearerd(...GENERATE, option, broken);
    assert.deepEqual([code, /broken\.yaml:1:9: this quote is not closed/.test(err)], [1, true], err);
  }
  const { code, err } = await bearerd(...GENERATE, '--upstreams', file('list.yaml', '- a\n'));
  assert.deepEqual([code, /list\.yaml:1:1: expected HOST: \{ address, port \}/.test(err)], [1, true], err);
});

test('a mistyped key of TLS to an upstream is no connection without a client certificate, and a port is one', async () => {
  const said = async (upstream: string) => {
    const { code, err } = await bearerd(...GENERATE, '--check-upstream', file('upstream.yaml', upstream));
    assert.equal(code, 2, err);
    return err;
  };
  assert.match(await said('{ address: a, port: 70000 }'), /port: expected a port from 1 to 65535/);
  assert.match(await said('{ address: a, port: 443, tls: { ca: /ca, crt: /c } }'), /tls: unknown key "crt"/);
  assert.match(
    await said('{ address: a, port: 443, tls: { ca: /ca, cert: /c } }'),
    /cert and key go together/,
  );
  assert.match(await said('{ address: a, port: 443, tls: /ca }'), /tls\.ca: expected a file/);
});

test('an option without its value is told, and not the next one taken for it', async () => {
  const { code, err } = await bearerd('generate', 'envoy', '--config', '--door', 'check');
  assert.equal(code, 2);
  assert.match(err, /--config needs a value/);
  const { err: dashed } = await bearerd('revoke', '--config', CONFIG, '--jti=-x');
  assert.doesNotMatch(dashed, /needs a value/);
});

test('words that every object of JavaScript knows are no verbs', async () => {
  for (const word of ['constructor', 'toString', '__proto__']) {
    assert.equal((await bearerd(word)).code, 2);
    assert.match((await bearerd('generate', word)).err, /it writes one of envoy, istio, kubernetes/);
  }
});

test('help VERB is the help of the verb', async () => {
  assert.match((await bearerd('help', 'import')).out, /^Usage: bearerd import /);
  assert.match((await bearerd('help', 'generate', 'istio')).out, /^Usage: bearerd generate istio /);
  assert.equal((await bearerd('help', 'imprt')).code, 2);
});

test('a case that expects nothing is refused: it could not fail', async () => {
  const cases = file('empty.yaml', 'cases: [{ request: GET http://h/, expect: {} }]\n');
  const { code, err } = await bearerd('test', cases, '--config', CONFIG);
  assert.equal(code, 1);
  assert.match(
    err,
    /empty\.yaml:1:\d+: cases\[0\]\.expect: expected at least one of decision, policy, source/,
  );
});

test('no token at all is none that is valid', async () => {
  const config = file(
    'admin.yaml',
    'version: 1\nlisten: { admin: "unix:///tmp/none.sock", check: "unix:///tmp/c" }\n',
  );
  const asked = await startProcess(process.execPath, ['bin/bearerd.js', 'verify', '--config', config, '-']);
  assert.equal((await asked.exited).code, 2);
  assert.match(asked.output(), /no token/);
});

/** A token as anybody may write one. */
const tokenOf = (header: object, claims: string) =>
  `${Buffer.from(JSON.stringify(header)).toString('base64url')}.${Buffer.from(claims).toString('base64url')}.AAAA`;

test('what strangers wrote moves no cursor, makes no lines of its own and turns no text', async () => {
  const evil = String.raw`\u001b[2J\u009b2J\u202e\u2028\nforged`;
  const log = file('log.json', `{"method":"GET","authority":"h","path":"/${evil}"}\n`);
  const cases = file(
    'evil.yaml',
    `cases: [{ name: "${evil}", request: GET http://h/, expect: { policy: "${evil}" } }]\n`,
  );
  const config = file('evil-config.yaml', `version: 1\n"${evil}": 1\n`);
  const token = tokenOf({ alg: 'HS\x1b[2J' }, `{"sub":"${evil}","cnf":{"${evil}":1}}`);
  const ring = file('ring.yaml', `keys: [{ "${evil}": 1 }]\n`);
  for (const args of [
    ['simulate', '--policy', CONFIG, '--log', log],
    ['test', cases, '--config', CONFIG],
    ['check-config', config],
    ['inspect', token],
    ['keys', 'list', ring],
  ]) {
    const { all } = await bearerd(...args);
    assert.match(all, /forged/);
    assert.doesNotMatch(all, /[^\n\P{C}]|[\u2028\u2029]/u, args.join(' '));
    assert.doesNotMatch(all, /^ *forged/m, args.join(' '));
  }
});

test('a line of an access log ends at LF alone', async () => {
  const log = file(
    'separators.json',
    '{"method":"GET","authority":"h","path":"/\u2028{\\"method\\":\\"GET\\"}"}\n{"method":"GET","authority":"h","path":"/b"}',
  );
  const { out } = await bearerd('simulate', '--policy', CONFIG, '--log', log);
  assert.match(out, /^2 requests$/m);
});

test('a token that ends beyond all dates is inspected, too', async () => {
  const { code, out } = await bearerd(
    'inspect',
    tokenOf({ alg: 'ES256' }, '{"iss":"i","aud":"a","exp":1e306}'),
  );
  assert.equal(code, 0, out);
  assert.match(out, /time +exp beyond all dates\n/);
});

async function written(args: readonly string[], stdout: 'pipe' | number) {
  const child = spawn(process.execPath, ['bin/bearerd.js', ...args], { stdio: ['pipe', stdout, 'pipe'] });
  let err = '';
  child.stderr!.on('data', (chunk) => {
    err += chunk;
  });
  return { child, err: () => err, exited: once(child, 'close') as Promise<[number | null, string | null]> };
}

test('a disk that is full is a failure, and a reader that went away is none', async () => {
  const full = await written(['schema'], openSync('/dev/full', 'w'));
  assert.equal((await full.exited)[0], 1);
  assert.match(full.err(), /standard output: ENOSPC/);
  const closed = await written(['schema'], 'pipe');
  closed.child.stdout!.destroy();
  assert.equal((await closed.exited)[0], 0);
});

test('one Ctrl-C ends a verb that waits for its input', async (t) => {
  const { child, exited } = await written(['inspect', '-'], 'pipe');
  t.after(() => child.kill('SIGKILL'));
  const again = setInterval(() => child.exitCode === null && child.kill('SIGINT'), 5_000);
  t.after(() => clearInterval(again));
  // It has to be up to be interrupted as itself.
  child.stdin!.write('eyJ');
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  child.kill('SIGINT');
  const [, signal] = await exited;
  assert.equal(signal, 'SIGINT');
});
