// The bounds of a call to a provider, each with its measured value: on real sockets that stay silent or trickle.
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createServer as createSocketServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { createAuthority } from '../../../demo/certificates.ts';
import { toTransportError } from '../../../src/provider-http/errors.ts';
import { createProviderHttp, type HttpDeps, type ProviderHttp } from '../../../src/provider-http/http.ts';
import { listening } from '../../support/loopback.ts';

const GET = { method: 'GET', headers: {} };

function client(t: TestContext, deps: Partial<HttpDeps> = {}): ProviderHttp {
  const http = createProviderHttp({ caFile: undefined, env: {}, now: () => Date.now(), ...deps });
  t.after(() => http.close());
  return http;
}

/** How long the call took to fail, milliseconds, and with which code. */
async function failing(t: TestContext, name: string, call: () => Promise<unknown>) {
  const begun = performance.now();
  const error = await call().then(
    () => assert.fail('no failure'),
    (reason: unknown) => toTransportError(reason, 'answer'),
  );
  const ms = performance.now() - begun;
  t.diagnostic(`${name} ${ms.toFixed(0)} ms`);
  return { ms, code: error.code, message: error.message };
}

describe('a provider that is silent', { concurrency: true }, () => {
  test('a TLS handshake that never ends is given up after 3 s', async (t) => {
    const port = await listening(t, createSocketServer());
    const { ms, code } = await failing(t, 'connect', () =>
      client(t).fetch(`https://127.0.0.1:${port}/`, GET),
    );
    assert.equal(code, 'source_timeout');
    // A second for a busy machine.
    assert.ok(ms > 2_400 && ms < 4_000, `${ms} ms`);
  });

  const SLOW: readonly (readonly [what: string, answer: RequestListener])[] = [
    ['an answer that never comes', () => {}],
    [
      'an answer that trickles',
      (_, response) => {
        response.writeHead(200);
        const trickle = setInterval(() => response.write('x'), 100);
        response.on('close', () => clearInterval(trickle));
      },
    ],
  ];
  for (const [what, answer] of SLOW) {
    test(`${what} is given up after 5 s in all`, async (t) => {
      const port = await listening(t, createServer(answer));
      const { ms, code } = await failing(t, 'call', () => client(t).fetch(`http://127.0.0.1:${port}/`, GET));
      assert.equal(code, 'source_timeout');
      assert.ok(ms > 4_900 && ms < 6_800, `${ms} ms`);
    });
  }
});

test('a redirect is not followed: nothing arrives where it points', async (t) => {
  let hits = 0;
  const there = await listening(
    t,
    createServer((_, response) => {
      hits++;
      response.end();
    }),
  );
  const here = await listening(
    t,
    createServer((_, response) => response.writeHead(307, { location: `http://127.0.0.1:${there}/` }).end()),
  );
  const { code } = await failing(t, 'redirect', () =>
    client(t).fetch(`http://127.0.0.1:${here}/`, { method: 'POST', headers: {}, body: 'client_secret=x' }),
  );
  assert.equal(code, 'source_invalid_response');
  assert.equal(hits, 0);
});

test('calls one after the other share connections', async (t) => {
  const server = createServer((_, response) => response.end('{}'));
  let connections = 0;
  server.on('connection', () => connections++);
  const port = await listening(t, server);
  const http = client(t);
  for (let i = 0; i < 20; i++) await http.fetch(`http://127.0.0.1:${port}/`, GET);
  // The next call may come while the first connection still ends its answer.
  assert.ok(connections <= 2, `${connections} connections`);
});

test('a new certificate authority in ca_file counts from the next call', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-ca-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const [old, next] = [await createAuthority(folder, 'old'), await createAuthority(folder, 'next')];
  const { cert, key } = await next.issue('localhost', 'server');
  const port = await listening(
    t,
    createTlsServer({ cert: readFileSync(cert), key: readFileSync(key) }, (_, response) =>
      response.end('{}'),
    ),
  );
  const caFile = join(folder, 'ca.pem');
  copyFileSync(old.ca, caFile);
  const http = client(t, { caFile });
  const url = `https://localhost:${port}/`;
  assert.equal((await failing(t, 'refused', () => http.fetch(url, GET))).code, 'source_unavailable');
  copyFileSync(next.ca, caFile);
  assert.equal((await http.fetch(url, GET)).status, 200);
  copyFileSync(key, caFile);
  const fault = await failing(t, 'refused', () => http.fetch(url, GET));
  assert.deepEqual(
    [fault.code, fault.message],
    ['secret_unreadable', `ca_file ${caFile} has no certificate in PEM`],
  );
});
