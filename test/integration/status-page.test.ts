// The status page on the admin socket and on its port: who may look, what a browser is told, and that nothing changes anything.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type IncomingHttpHeaders, request } from 'node:http';
import { request as requestTls } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createAuthority } from '../../demo/certificates.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createSecretReader } from '../../src/lib/secret-ref.ts';
import { createAdminServer, createStatusServer, type StatusServerOptions } from '../../src/server/admin.ts';
import { createRecordingObserver } from '../support/recording-observer.ts';
import { createSocketFolder } from '../support/sockets.ts';

const TOKEN = 'canary-token-of-the-page';
const PAGES = [
  '/',
  '/status',
  '/page.css',
  '/page.js',
  '/dom.js',
  '/tables.js',
  '/plots.js',
  '/words.js',
  '/icon.svg',
];

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

function ask(options: object, send: typeof request = request): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = send({ agent: false, ...options }, (incoming) => {
      let body = '';
      incoming.setEncoding('utf8');
      incoming.on('data', (chunk) => {
        body += chunk;
      });
      incoming.on('end', () => resolve({ status: incoming.statusCode!, headers: incoming.headers, body }));
    });
    outgoing.setTimeout(5_000, () => outgoing.destroy(new Error('no answer')));
    outgoing.on('error', reject);
    outgoing.end();
  });
}

const address = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;

async function started(t: TestContext, options: Partial<StatusServerOptions>) {
  const recorded = createRecordingObserver();
  const server = createStatusServer({
    ...{ address, hosts: [], token: undefined, tls: undefined, clock: systemClock },
    ...{ status: () => ({ version: '1' }), observer: recorded.observer },
    ...options,
  });
  const [host, port] = (await server.start()).split(':');
  t.after(() => server.stop());
  return { server, recorded, at: { host, port: Number(port) } };
}

function tokenFile(t: TestContext, text: string) {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-page-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'token');
  writeFileSync(path, `${text}\n`);
  return { folder, path, reader: createSecretReader({ from: 'file', path }, {}) };
}

const basic = (pair: string) => `Basic ${Buffer.from(pair).toString('base64')}`;

test('each answer keeps a browser from everything that is not ours, and from keeping it', async (t) => {
  const { at } = await started(t, { token: tokenFile(t, TOKEN).reader });
  for (const path of [...PAGES, '/nothing', '/v1/verify']) {
    for (const headers of [{ authorization: `Bearer ${TOKEN}` }, {}]) {
      const answer = await ask({ ...at, path, headers });
      const told = answer.headers;
      const policy = String(told['content-security-policy']);
      assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self';/, path);
      assert.doesNotMatch(policy, /unsafe|\*|https?:/);
      for (const rule of [
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "trusted-types 'none'",
      ])
        assert.ok(policy.includes(rule), rule);
      assert.equal(told['x-content-type-options'], 'nosniff');
      assert.equal(told['referrer-policy'], 'no-referrer');
      assert.equal(told['cache-control'], 'no-store');
      assert.equal(told['cross-origin-resource-policy'], 'same-origin');
      assert.equal(told['x-frame-options'], 'DENY');
      for (const name of Object.keys(told))
        assert.doesNotMatch(name, /access-control|set-cookie|server|powered/);
    }
  }
});

test('the token opens the page as Bearer and as a password of Basic, and nothing else does', async (t) => {
  const { path, reader } = tokenFile(t, TOKEN);
  const { at, recorded } = await started(t, { token: reader });
  const status = async (authorization?: string, path = '/status') =>
    (await ask({ ...at, path, headers: authorization === undefined ? {} : { authorization } })).status;
  for (const given of [`Bearer ${TOKEN}`, `bearer ${TOKEN}`, basic(`me:${TOKEN}`), basic(`:${TOKEN}`)]) {
    assert.equal(await status(given), 200, given);
    for (const page of PAGES) assert.equal(await status(given, page), 200, page);
  }
  for (const given of [
    ...[
      undefined,
      '',
      'Bearer',
      `Bearer ${TOKEN}x`,
      `Bearer ${TOKEN.slice(1)}`,
      `Bearer ${TOKEN.toUpperCase()}`,
    ],
    ...[
      basic(TOKEN),
      basic(`${TOKEN}:`),
      basic(`me:${TOKEN}:`),
      `Digest ${TOKEN}`,
      TOKEN,
      `Bearer ${TOKEN} x`,
    ],
  ]) {
    for (const page of [...PAGES, '/nothing', '/v1/verify']) {
      const { status, headers, body } = await ask({
        ...{ ...at, path: page, headers: given === undefined ? {} : { authorization: given } },
      });
      assert.equal(status, 401, `${given} ${page}`);
      assert.match(headers['www-authenticate']!, /^Basic realm="bearerd"/);
      assert.doesNotMatch(body, /canary/);
    }
  }
  // A changed token counts at once, and one that is gone or short lets nobody in.
  writeFileSync(path, 'another-token-of-the-page');
  assert.equal(await status(`Bearer ${TOKEN}`), 401);
  assert.equal(await status('Bearer another-token-of-the-page'), 200);
  writeFileSync(path, 'short');
  assert.equal(await status('Bearer short'), 503);
  rmSync(path);
  assert.equal(await status('Bearer another-token-of-the-page'), 503);
  assert.doesNotMatch(JSON.stringify(recorded.events), /canary|another-token/);
});

test('a name that is not ours is refused before anything else, so that no other site can point its own here', async (t) => {
  const { at } = await started(t, { token: tokenFile(t, TOKEN).reader, hosts: ['status.example.com'] });
  const status = async (host: string) =>
    (await ask({ ...at, path: '/status', headers: { host, authorization: `Bearer ${TOKEN}` } })).status;
  for (const host of [
    'localhost:80',
    '127.0.0.1',
    '[::1]:9195',
    '10.1.2.3:80',
    'status.example.com',
    'STATUS.example.com:8443',
  ])
    assert.equal(await status(host), 200, host);
  for (const host of [
    'evil.example',
    'localhost.evil.example',
    '127.0.0.1.evil.example:9195',
    'x',
    'localhost:1:2',
    '[evil.example]',
  ])
    assert.equal(await status(host), 421, host);
});

test('only reading: other methods and the questions of the admin socket are not there', async (t) => {
  const { at } = await started(t, { token: tokenFile(t, TOKEN).reader });
  const headers = { authorization: `Bearer ${TOKEN}` };
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE']) {
    for (const path of PAGES)
      assert.equal((await ask({ ...at, path, method, headers })).status, 405, `${method} ${path}`);
    assert.equal((await ask({ ...at, path: '/v1/verify', method, headers })).status, 404, method);
  }
  const head = await ask({ ...at, path: '/', method: 'HEAD', headers });
  assert.deepEqual([head.status, head.body], [200, '']);
  for (const path of [
    '/../package.json',
    '/%2e%2e/package.json',
    '/index.html',
    '/page.js/',
    '//status',
    '/assets.ts',
  ])
    assert.equal((await ask({ ...at, path, headers })).status, 404, path);
  assert.equal(
    (await ask({ ...at, path: `/status?${'x'.repeat(9_000)}`, headers })).status,
    431,
    'a head has a bound',
  );
});

test('with tls a client certificate of an allowed name is needed, and with a token both', async (t) => {
  const { folder, reader } = tokenFile(t, TOKEN);
  const authority = await createAuthority(folder);
  const own = await authority.issue('status', 'server');
  const uri = 'spiffe://cluster.local/ns/prod/sa/operator';
  const client = await authority.issue('operator', 'client', { uris: [uri] });
  const ca = readFileSync(authority.ca, 'utf8');
  const pair = { cert: readFileSync(client.cert, 'utf8'), key: readFileSync(client.key, 'utf8') };
  const tls = (allowedUri: string) => ({
    ...{ certificate: own.cert, privateKey: own.key, clientCa: authority.ca, allowedUris: [allowedUri] },
  });
  const look = (at: object, headers: object, certificate: object = pair) =>
    ask(
      {
        ...at,
        path: '/status',
        ca,
        servername: 'status',
        headers: { host: 'localhost', ...headers },
        ...certificate,
      },
      requestTls as typeof request,
    );
  const both = await started(t, { tls: tls(uri), token: reader });
  const authorization = `Bearer ${TOKEN}`;
  assert.equal((await look(both.at, {})).status, 401, 'a certificate, no token');
  assert.equal((await look(both.at, { authorization })).status, 200);
  await assert.rejects(look(both.at, { authorization }, {}), 'a token, no certificate');
  const others = await started(t, { tls: tls(`${uri}-of-others`) });
  await assert.rejects(look(others.at, {}), 'a certificate of another name');
  const alone = await started(t, { tls: tls(uri) });
  assert.equal((await look(alone.at, {})).status, 200);
  await assert.rejects(ask({ ...alone.at, path: '/status' }), 'plain text');
});

test('the admin socket has the same page, for names that no public site can have', async (t) => {
  const sockets = createSocketFolder();
  t.after(() => sockets.remove());
  const listener = sockets.address('admin.sock', 0o600);
  let asked = 0;
  const server = createAdminServer(listener, {
    status: () => ({ version: '1' }),
    questions: new Map([['/v1/ask', async () => ({ asked: ++asked })]]),
    observer: createRecordingObserver().observer,
  });
  await server.start();
  t.after(() => server.stop());
  const at = { socketPath: listener.path };
  for (const path of PAGES) assert.equal((await ask({ ...at, path })).status, 200, path);
  for (const host of ['bearerd', 'localhost:9195', '127.0.0.1', 'x'])
    assert.equal((await ask({ ...at, path: '/', headers: { host } })).status, 200, host);
  assert.equal((await ask({ ...at, path: '/', headers: { host: 'evil.example:9195' } })).status, 421);
  const question = (headers: object) => ask({ ...at, path: '/v1/ask', method: 'POST', headers });
  for (const origin of ['null', 'http://localhost:9195', 'https://evil.example'])
    assert.equal((await question({ origin })).status, 403, `a page of ${origin} asks`);
  assert.equal((await question({})).status, 400, 'no JSON');
  assert.equal(asked, 0);
});

test('a port without a token, or beyond loopback without tls, is refused when the configuration is read', async () => {
  const { parseConfig } = await import('../../src/config/parse.ts');
  const parsed = (status: string, mode = 'production') =>
    parseConfig(
      `version: 1\nmode: ${mode}\nlisten: { check: unix:///run/check.sock, status: ${status} }\n`,
      '/etc/bearerd/bearerd.yaml',
    );
  const rows: [string, RegExp][] = [
    ['{ address: "127.0.0.1:9195" }', /token or tls is missing/],
    ['{ address: "0.0.0.0:9195", token: { file: t } }', /tls is missing: beyond loopback/],
    ['{ address: "127.0.0.1:9195", token: { inline: abc } }', /needs mode: development/],
    ['{ address: "unix:///run/status.sock", token: { file: t } }', /Unix socket/],
    ['"127.0.0.1:9195"', /expected \{ address, token, tls, hosts \}/],
    ['{ address: "127.0.0.1:9195", token: { file: t }, hosts: ["a:1"] }', /expected host names/],
    ['{ address: "127.0.0.1:9195", token: { file: t }, paasword: x }', /paasword/],
  ];
  for (const [status, problem] of rows) {
    assert.throws(
      () => parsed(status),
      (error: Error & { problems?: { message: string; line?: number }[] }) => {
        assert.match(JSON.stringify(error.problems), problem, status);
        assert.equal(error.problems![0]!.line, 3);
        return true;
      },
    );
  }
  const { status } = parsed('{ address: "127.0.0.1:9195", token: { file: t } }').listen;
  assert.deepEqual(status!.token, { from: 'file', path: '/etc/bearerd/t' });
});
