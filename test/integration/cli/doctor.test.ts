// bearerd doctor beside an admin interface that is none, or that answers as it likes.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { bearerd } from '../../support/command-line.ts';

const folder = mkdtempSync(join(tmpdir(), 'bearerd-doctor-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function configOf(listen: string): string {
  const file = join(folder, 'bearerd.yaml');
  writeFileSync(
    file,
    `version: 1
listen: { check: "unix://${folder}/check.sock"${listen} }
sources: { key: { static: { value: { env: KEY } } } }
outbound: [{ name: orders, match: { hosts: [orders.prod] }, inject: { source: key } }]
`,
  );
  return file;
}

async function beside(t: TestContext, answer: RequestListener, config = configOf('')) {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return bearerd(
    'doctor',
    '--config',
    config,
    '--envoy',
    `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  );
}

test('an answer that ends in the middle, is no JSON or nests for ever is told', async (t) => {
  const cases: [RequestListener, RegExp][] = [
    [
      (_, response) => {
        response.writeHead(200, { 'content-length': 1_000 });
        response.write('{"a":', () => response.destroy());
      },
      /cannot be asked: ECONNRESET/,
    ],
    [(_, response) => response.writeHead(404).end('<html>'), /an answer that is no JSON \(status 404\)/],
    [
      (request, response) =>
        response.end(
          request.url?.startsWith('/config_dump') ? '['.repeat(50_000) + ']'.repeat(50_000) : '{}',
        ),
      /no route or cluster of Envoy is made for the policy orders/,
    ],
  ];
  for (const [answer, said] of cases) {
    const { code, all } = await beside(t, answer);
    assert.deepEqual([code, said.test(all)], [1, true], all);
  }
});

test('its names move no cursor and make no lines of their own', async (t) => {
  const inline_string = '%REQ(authorization)%\x1b[2J\nnothing is wrong\u202e';
  const { out } = await beside(t, (request, response) =>
    response.end(JSON.stringify(request.url?.startsWith('/config_dump') ? { inline_string } : {})),
  );
  assert.match(out, /prints a header with a credential/);
  assert.doesNotMatch(out, /[^\n\P{C}]|^nothing/mu);
});

test('an address that is no URL is told, and a password of one is not repeated', async () => {
  for (const address of ['localhost:9901', '127.0.0.1:9901', 'https://u:canary@127.0.0.1:1', 'unix:///x']) {
    const { code, err } = await bearerd('doctor', '--config', configOf(''), '--envoy', address);
    assert.equal(code, 2, address);
    assert.match(err, /--envoy takes a URL, e\.g\. http:\/\/127\.0\.0\.1:9901/);
    assert.doesNotMatch(err, /canary/);
  }
  const { err } = await bearerd(
    'doctor',
    '--config',
    configOf(''),
    '--envoy',
    'http://u:canary@127.0.0.1:1/x',
  );
  assert.match(err, /http:\/\/127\.0\.0\.1:1 cannot be asked: ECONNREFUSED/);
});

test('without an admin socket it says what it could not look at', async (t) => {
  const { out } = await beside(t, (_, response) => response.end('{}'));
  assert.match(out, /warning the configuration has no listen\.admin/);
});

test('everything that a running bearerd says of itself is told, but for what mends itself', async (t) => {
  const findings = [
    { severity: 'critical', about: 'source key', text: 'no credential: source_timeout' },
    { severity: 'warning', about: 'configuration', text: 'a newer one was refused' },
    { severity: 'warning', about: 'shared cache', text: 'is away' },
    { severity: 'note', about: 'source key', text: 'healing' },
  ];
  const admin = createServer((_, response) => response.end(JSON.stringify({ findings })));
  await new Promise<void>((resolve) => admin.listen(join(folder, 'admin.sock'), resolve));
  t.after(() => admin.close());
  const { out } = await beside(
    t,
    (_, response) => response.end('{}'),
    configOf(`, admin: "unix://${folder}/admin.sock"`),
  );
  assert.match(out, /^error +source key: no credential: source_timeout\n +-> the log line/m);
  assert.match(out, /^error +configuration: a newer one was refused\n +-> bearerd check-config FILE/m);
  assert.match(out, /^warning +shared cache: is away$/m);
  assert.doesNotMatch(out, /healing|listen\.admin/);
});
