// What its users get wrong on the command line, and what strangers put into the files that they look at with it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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
    ['audit', 'verify', missing, '--key', cases],
    ['simulate', '--policy', CONFIG, '--log', missing],
    ['bundle', 'sign', CONFIG, '--key', missing, '--name', 'n', '--expires-in', '1h'],
    ['generate', 'istio', '--config', CONFIG, '--namespace', 'n', '--from-cluster', missing],
  ]) {
    const { code, err } = await bearerd(...args);
    assert.equal(code, 1, args.join(' '));
    assert.match(err, /none\/x:? cannot be read: ENOENT \(there is no such file\)|no such file.*none\/x/);
  }
});

test('a directory in the place of a file is named as one', async () => {
  for (const args of [
    ['import', folder],
    ['audit', 'verify', folder, '--key', CONFIG],
    ['simulate', '--policy', CONFIG, '--log', folder],
    ['bundle', 'verify', CONFIG, '--keys', folder, '--name', 'n'],
    ['test', folder, '--config', CONFIG],
    ['keys', 'list', folder],
  ]) {
    const { code, err, out } = await bearerd(...args);
    assert.deepEqual([code, out], [1, ''], args.join(' '));
    assert.ok(
      err.includes(`${folder}: cannot be read: EISDIR (it is a directory)`) ||
        err.includes(`${folder} cannot be read: EISDIR (it is a directory)`),
      err,
    );
  }
});

test('a line without an end is refused by its number, and a file of no records is told in a few lines', async () => {
  const log = file('giant.json', `{"method":"GET","authority":"h","path":"/"}\n\n${'a'.repeat(3 << 20)}`);
  for (const args of [
    ['simulate', '--policy', CONFIG, '--log', log],
    ['audit', 'verify', log, '--key', file('key', 'a key of thirty-two bytes or more')],
  ]) {
    const { code, out, err } = await bearerd(...args);
    assert.deepEqual([code, out], [1, '']);
    assert.match(
      err,
      /giant\.json:3: a line of more than 1048576 characters: expected one JSON object a line$/m,
    );
  }
  const noRecords = file('none.jsonl', 'x\n'.repeat(100_000));
  const { code, out } = await bearerd('audit', 'verify', noRecords, '--key', join(folder, 'key'));
  assert.equal(code, 1);
  assert.match(out, /none\.jsonl:1000: .*\nand 99000 more\n100000 records: NOT whole\n$/);
});

test('a dump in YAML for which the heap has no room is refused, and does not end the process', async () => {
  const dump = file('dump.yaml', `items:\n${'- kind: EnvoyFilter\n'.repeat(100_000)}`);
  const heap = ['--max-semi-space-size=2', '--max-old-space-size=96'];
  const args = [...heap, 'bin/bearerd.js', 'import', dump];
  const asked = await startProcess(process.execPath, args);
  assert.equal((await asked.exited).code, 1);
  assert.match(
    asked.output(),
    /dump\.yaml: has 2000007 characters, for which this process has no room: NODE_OPTIONS=--max-old-/,
  );
});

test('byte order mark, CRLF and blank lines of other systems are none of the text', async () => {
  const line = '{"method":"GET","authority":"h","path":"/"}';
  const { out } = await bearerd(
    'simulate',
    '--policy',
    CONFIG,
    '--log',
    file('bom.json', `\u{feff}${line}\r\n\r\n${line}`),
  );
  assert.match(out, /^2 requests$/m);
  const { out: odd } = await bearerd(
    'simulate',
    '--policy',
    CONFIG,
    '--log',
    file('odd.json', `${line}\n\nnothing\n`),
  );
  assert.match(odd, /^1 requests, 1 without method, authority and path \(the first in line 3\)$/m);
  const dump = readFileSync('test/fixtures/envoy/credential-injector.yaml', 'utf8').replaceAll('\n', '\r\n');
  const { code, err } = await bearerd('import', file('crlf.yaml', `\u{feff}${dump}`));
  assert.equal(code, 0, err);
});

test('"-" is standard input where one file is read', async () => {
  const config = readFileSync(CONFIG);
  const cases = 'cases: [{ request: GET http://h/, expect: { decision: pass } }]\n';
  const dump = readFileSync('test/fixtures/envoy/credential-injector.yaml');
  const log = '{"method":"GET","authority":"h","path":"/"}\n';
  await Promise.all(
    (
      [
        [['check-config', '-'], config, 0, /^-: ok, /],
        [['check-config', '-'], 'version: 2\n', 1, /^-:1:10: version: /],
        [['import', '-'], dump, 0, /^[\s\S]*client_credentials/],
        [['simulate', '--policy', CONFIG, '--log', '-'], log.repeat(5_000), 0, /^5000 requests$/m],
        [['test', '-', '--config', CONFIG], cases, 0, /^1 passed, 0 failed$/m],
        [['inspect', '-'], ' \r\n', 2, /there is no token on standard input/],
      ] as const
    ).map(async ([args, input, expected, said]) => {
      const { child, out, err, exited } = await written(args, 'pipe');
      child.stdin!.end(input);
      const [code] = await exited;
      assert.equal(code, expected, err());
      assert.match(out() + err(), said);
    }),
  );
});

test('a mistyped word of a verb is told with what was meant', async () => {
  for (const [args, said] of [
    [['audit', 'verfy', 'x'], /expected verify, got "verfy"; did you mean verify\?/],
    [['bundle', 'sgn', 'x'], /expected one of sign, verify, got "sgn"; did you mean sign\?/],
    [
      ['generate', 'kubernetes', 'webhok'],
      /webhook, workload, injection-template, got "webhok"; did you mean webhook\?/,
    ],
    [['keys', 'revok', 'x', 'y'], /got "revok"; did you mean revoke\?/],
    [
      ['--vrsion'],
      /^bearerd: unknown option "--vrsion"; did you mean --version\?\n\n"bearerd --help" has the verbs\.\n$/,
    ],
    [['doktor'], /unknown verb "doktor"; did you mean doctor\?/],
  ] as const) {
    const { code, out, err } = await bearerd(...args);
    assert.deepEqual([code, out], [2, ''], args.join(' '));
    assert.match(err, said);
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
    assert.equal(code, 1, err);
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
    assert.match((await bearerd('generate', word)).err, /expected one of envoy, istio, kubernetes/);
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
  let out = '';
  child.stdout?.on('data', (chunk) => {
    out += chunk;
  });
  let err = '';
  child.stderr!.on('data', (chunk) => {
    err += chunk;
  });
  return {
    child,
    out: () => out,
    err: () => err,
    exited: once(child, 'close') as Promise<[number | null, string | null]>,
  };
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
