// SIGTERM to a real process, with real clients on all its listeners: what ends in which order, that nothing in flight is
// lost, and that nobody can hold it for longer than ten seconds.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { Agent, get, type ServerResponse } from 'node:http';
import http2 from 'node:http2';
import { connect, createServer as createSilentServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import * as grpc from '@grpc/grpc-js';
import { createAuthority } from '../../demo/certificates.ts';
import { PROCESS_PATH } from '../../src/doors/attempt/process.ts';
import { MARK } from '../../src/doors/attempt/request.ts';
import { CHECK_PATH } from '../../src/doors/check/check.ts';
import { SECRET_TYPE_URL } from '../../src/doors/push/secret-resource.ts';
import {
  StreamAccessLogsMessage,
  StreamAccessLogsResponse,
} from '../../src/gen/envoy/service/accesslog/v3/als.ts';
import { DiscoveryRequest, DiscoveryResponse } from '../../src/gen/envoy/service/discovery/v3/discovery.ts';
import { checkEntry } from '../support/access-log-entry.ts';
import { attemptMessage, readAnswer } from '../support/ext-proc.ts';
import { newKey } from '../support/fleet.ts';
import { type ClientStream, openStream } from '../support/grpc-stream.ts';
import { inboundRequest, readInboundAnswer } from '../support/inbound-messages.ts';
import { listening, startUpstream } from '../support/loopback.ts';
import { createBundleSigner } from '../support/policy-bundles.ts';
import { type Exit, type StartedProcess, startProcess } from '../support/process.ts';
import { createSocketFolder } from '../support/sockets.ts';
import { storeLogin } from '../support/stored-login.ts';
import { until } from '../support/until.ts';

const ALS_PATH = '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs';
const SDS_PATH = '/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets';
const STATUS_TOKEN = 'token-of-the-status-page';
/** Of a whole end, whatever anybody does. */
const BOUND_MS = 10_000;

/** A provider that answers nobody until it is told to. */
async function startHeldProvider(t: TestContext) {
  const held: ServerResponse[] = [];
  let isHeld = true;
  const answer = (response: ServerResponse): void => {
    const token = { access_token: 'slow-token', token_type: 'Bearer', expires_in: 600, active: true };
    const claims = { iss: 'https://idp.example.com', aud: 'orders', sub: 'u', exp: Date.now() / 1_000 + 600 };
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ ...token, ...claims, exp: Math.floor(claims.exp) }));
  };
  const port = await startUpstream(t, (request, response) => {
    request.resume();
    if (isHeld) held.push(response);
    else answer(response);
  });
  return {
    url: `http://127.0.0.1:${port}`,
    held,
    release() {
      isHeld = false;
      for (const response of held.splice(0)) answer(response);
    },
  };
}

interface Running {
  readonly folder: string;
  readonly configFile: string;
  readonly process: StartedProcess;
  readonly path: (name: string) => string;
  readonly client: (name: string) => grpc.Client;
  /** Bound ports of the pages, by listener. */
  readonly port: (listener: string) => number;
  /** SIGTERM, and how it ended. */
  end(): Promise<Exit & { readonly ms: number }>;
}

async function startBearerd(
  t: TestContext,
  providerUrl: string,
  { maxWait = '3s', check = '', status = '', sources = '', settings = '', login = false, wait = true } = {},
): Promise<Running> {
  const sockets = createSocketFolder();
  t.after(() => sockets.remove());
  const { folder } = sockets;
  const path = (name: string) => join(folder, name);
  for (const [name, text] of [
    ['token', 'fast-token'],
    ['secret', 'client-secret'],
    ['status-token', STATUS_TOKEN],
    ['audit-key', 'key-of-the-audit-trail'],
    ['login-key', newKey()],
  ] as const) {
    writeFileSync(path(name), text, { mode: 0o600 });
  }
  const configFile = path('bearerd.yaml');
  writeFileSync(
    configFile,
    `version: 1
mode: development
max_wait: ${maxWait}
listen:
  check: ${check || `unix://${path('check.sock')}`}
  check_inbound: unix://${path('in.sock')}
  xds: unix://${path('xds.sock')}
  health: 127.0.0.1:0
  admin: unix://${path('admin.sock')}
  status: ${status || "{ address: '127.0.0.1:0', token: { file: status-token } }"}
audit: { sink: { file: audit.jsonl }, key: { file: audit-key } }
sources:
  fast: { file: { path: token } }
  slow:
    required: false
    client_credentials: { token_endpoint: '${providerUrl}/token', client_id: c, client_secret: { file: secret } }
${sources}outbound:
  - { name: fast, match: { hosts: [fast.example.com] }, inject: { source: fast } }
  - { name: slow, match: { hosts: [slow.example.com] }, inject: { source: slow } }
inbound:
  issuers:
    idp:
      audience: orders
      introspection: { endpoint: '${providerUrl}/introspect', client_id: c, client_secret: { file: secret } }
  policies: [{ name: all, match: {} }]
${settings}`,
  );
  if (login) await storeLogin(configFile, 'person', 'refresh-token');
  const started = await startProcess(process.execPath, ['bin/bearerd.js', 'serve', '--config', configFile]);
  t.after(() => started.child.kill('SIGKILL'));
  if (wait) await started.waitForOutput(/"listener":"status","state":"listening"/);
  return {
    ...{ folder, configFile, path, process: started },
    client(name) {
      const client = new grpc.Client(`unix://${path(name)}`, grpc.credentials.createInsecure());
      t.after(() => client.close());
      return client;
    },
    port: (listener) =>
      Number(
        new RegExp(`"listener":"${listener}","state":"listening","address":"[^"]*:(\\d+)"`).exec(
          started.output(),
        )![1],
      ),
    async end() {
      const begun = performance.now();
      started.child.kill('SIGTERM');
      const exit = await Promise.race([
        started.exited,
        sleep(BOUND_MS + 5_000, { code: -1, signal: null }, { ref: false }),
      ]);
      return { ...exit, ms: performance.now() - begun };
    },
  };
}

const bytes = (value: Uint8Array) => Buffer.from(value);

function unary(client: grpc.Client, path: string, message: Uint8Array, timeoutMs?: number) {
  return new Promise<{ bytes: Buffer; at: number }>((resolve, reject) => {
    client.makeUnaryRequest(
      ...([path, bytes, bytes, bytes(message), new grpc.Metadata()] as const),
      timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs },
      (error, answer) => (error ? reject(error) : resolve({ bytes: answer!, at: performance.now() })),
    );
  });
}

/** As Envoy sends it on the route of a policy. */
const checkOf = (policy: string, i = 0) =>
  inboundRequest({ host: `${policy}.example.com`, path: `/v1/${i}`, extensions: { policy } });

function openSds(client: grpc.Client): ClientStream<DiscoveryRequest, DiscoveryResponse> {
  const stream = openStream(client, SDS_PATH, DiscoveryRequest, DiscoveryResponse);
  stream.send({
    ...DiscoveryRequest.decode(new Uint8Array()),
    typeUrl: SECRET_TYPE_URL,
    resourceNames: ['fast', 'slow'],
  });
  return stream;
}

function openAccessLog(client: grpc.Client, logName: string) {
  const stream = openStream(client, ALS_PATH, StreamAccessLogsMessage, StreamAccessLogsResponse);
  stream.send({
    identifier: { logName },
    logEntries: { $case: 'httpLogs', httpLogs: { logEntry: [checkEntry()] } },
  });
  return stream;
}

/** As Envoy: the stream stays open on its side. Resolves with the answer; without a message nothing is asked. */
function openAttempt(client: grpc.Client, message?: Buffer) {
  const metadata = new grpc.Metadata();
  metadata.set(MARK, 'slow');
  const call = client.makeBidiStreamRequest<Buffer, Buffer>(PROCESS_PATH, bytes, bytes, metadata);
  call.on('error', () => {});
  const answered = new Promise<{ bytes: Buffer; at: number }>((resolve) => {
    call.once('data', (answer: Buffer) => resolve({ bytes: answer, at: performance.now() }));
  });
  const status = new Promise<number>((resolve) => call.once('status', ({ code }) => resolve(code)));
  if (message !== undefined) call.write(message);
  return { answered, status };
}

/** What the connection itself sees, in the order of its bytes. */
function openSession(t: TestContext, path: string) {
  const session = http2.connect('http://localhost', { createConnection: () => connect(path) });
  t.after(() => session.destroy());
  session.on('error', () => {});
  const events: { readonly what: string; readonly at: number }[] = [];
  const happened = (what: string) => void events.push({ what, at: performance.now() });
  session.on('goaway', () => happened('goaway'));
  session.on('close', () => happened('closed'));
  return {
    session,
    events,
    call(what: string, callPath: string, message: Uint8Array, end = true) {
      const headers = {
        ':method': 'POST',
        ':path': callPath,
        'content-type': 'application/grpc',
        te: 'trailers',
      };
      const stream = session.request(headers, { endStream: false });
      const frame = Buffer.alloc(5 + message.length);
      frame.writeUInt32BE(message.length, 1);
      frame.set(message, 5);
      stream.on('error', () => {});
      stream.on(
        'response',
        (answer) => answer['grpc-status'] && happened(`${what} ${answer['grpc-status']}`),
      );
      stream.on('trailers', (trailers) => happened(`${what} ${trailers['grpc-status']}`));
      stream.resume();
      if (end) stream.end(frame);
      else stream.write(frame);
    },
  };
}

function page(port: number, path: string, agent: Agent): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, agent }, async (answer) => {
      let body = '';
      for await (const chunk of answer.setEncoding('utf8')) body += chunk;
      resolve({ status: answer.statusCode!, body });
    }).on('error', reject);
  });
}

function auditRecords({ path }: Running): { readonly event: string }[] {
  const lines = readFileSync(path('audit.jsonl'), 'utf8').trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line));
}

/** The trail is whole, ends with `stopped`, and the log has its head. */
async function assertAuditIsWhole(bearerd: Running): Promise<void> {
  const {
    path,
    process: { output },
  } = bearerd;
  assert.equal(auditRecords(bearerd).at(-1)?.event, 'stopped');
  const head = [...output().matchAll(/"auditHead":"(\d+:[^"]+)"/g)].at(-1)?.[1];
  assert.ok(head !== undefined, 'the head is in the log');
  const verify = await startProcess(process.execPath, [
    ...['bin/bearerd.js', 'audit', 'verify', path('audit.jsonl')],
    ...['--key', path('audit-key'), '--head', head],
  ]);
  const { code } = await verify.exited;
  assert.equal(code, 0, verify.output());
}

function assertEnded(t: TestContext, { code, signal, ms }: Exit & { ms: number }, what: string): void {
  t.diagnostic(`${what}: ended after ${ms.toFixed(0)} ms (below ${BOUND_MS})`);
  assert.deepEqual([code, signal], [0, null], what);
  assert.ok(ms < BOUND_MS, `${what}: ${ms} ms`);
}

test('SIGTERM: not ready, streams end, GOAWAY, calls in flight are answered, exit 0; nothing is lost', async (t) => {
  const provider = await startHeldProvider(t);
  const bearerd = await startBearerd(t, provider.url, { maxWait: '20s' });
  const { client, path, port } = bearerd;
  const check = client('check.sock');
  const agent = new Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  const readiness = () => page(port('health'), '/readyz', agent);
  assert.equal((await readiness()).status, 200);

  const sds = openSds(client('xds.sock'));
  assert.equal((await sds.next()).resources.length, 2);
  const logs = [
    openAccessLog(client('xds.sock'), 'bearerd_push'),
    openAccessLog(check, 'bearerd_check'),
  ] as const;
  const raw = openSession(t, path('check.sock'));
  raw.call(
    'log',
    ALS_PATH,
    StreamAccessLogsMessage.encode({
      identifier: { logName: 'bearerd_check' },
      logEntries: undefined,
    }).finish(),
    false,
  );
  raw.call('check', CHECK_PATH, checkOf('slow'));
  const fast = readInboundAnswer((await unary(check, CHECK_PATH, checkOf('fast'))).bytes);
  assert.equal(fast.set['authorization'], 'Bearer fast-token');

  const slowAttempt = openAttempt(check, attemptMessage({ host: 'slow.example.com' }));
  const checks = Array.from({ length: 50 }, (_, i) => unary(check, CHECK_PATH, checkOf('slow', i)));
  const callers = client('in.sock');
  const inbound = Array.from({ length: 10 }, (_, i) =>
    unary(
      callers,
      CHECK_PATH,
      inboundRequest({ path: `/${i}`, headers: { authorization: 'Bearer opaque' } }),
    ),
  );
  // One fetch of the source, one introspection.
  await until('the provider was asked', () => provider.held.length >= 2);
  // What is answered at once was read after all the others of its connection.
  await unary(check, CHECK_PATH, checkOf('fast'));
  await unary(callers, CHECK_PATH, inboundRequest({}));

  const endings = [sds, ...logs].map(async (stream) => {
    const { code, details } = await stream.status;
    return { code, details, at: performance.now(), ready: (await readiness()).status };
  });
  const begun = performance.now();
  const ended = bearerd.end();
  const streams = await Promise.all(endings);
  for (const { code, details, ready } of streams) {
    assert.deepEqual([code, details, ready], [grpc.status.UNAVAILABLE, 'shutting down', 503]);
  }
  await until('GOAWAY', () => raw.events.some(({ what }) => what === 'goaway'));
  assert.match((await readiness()).body, /missing: shutting down/);
  assert.equal((await page(port('health'), '/livez', agent)).status, 200);
  const metrics = await page(port('health'), '/metrics', agent);
  assert.equal(metrics.status, 200, 'the last figures can still be read');
  for (const name of ['check.sock', 'in.sock', 'xds.sock']) {
    await until(`${name} is taken away for the next one`, () => !existsSync(path(name)));
  }
  await sleep(300);
  assert.equal(bearerd.process.child.exitCode, null, 'it waits for what is in flight');
  const releasedAt = performance.now();
  provider.release();

  for (const { bytes: answer, at } of await Promise.all(checks)) {
    assert.equal(readInboundAnswer(answer).set['authorization'], 'Bearer slow-token');
    assert.ok(at > releasedAt);
  }
  assert.equal(readAnswer((await slowAttempt.answered).bytes).set['authorization'], 'Bearer slow-token');
  for (const { bytes: answer } of await Promise.all(inbound))
    assert.equal(readInboundAnswer(answer).status, 200);
  const exit = await ended;
  assertEnded(t, exit, 'calls in flight');
  assert.deepEqual(
    raw.events.map(({ what }) => what).filter((what, i, all) => what !== all[i - 1]),
    [`log ${grpc.status.UNAVAILABLE}`, 'goaway', 'check 0', 'closed'],
  );
  const since = (at: number | undefined) => `${((at ?? Number.NaN) - begun).toFixed(0)} ms`;
  const eventAt = (name: string) => raw.events.find(({ what }) => what.startsWith(name))?.at;
  t.diagnostic(
    `streams ended after ${since(Math.max(...streams.map(({ at }) => at)))}, GOAWAY ${since(eventAt('goaway'))}, released ${since(releasedAt)}, answered ${since(eventAt('check'))}, exit ${exit.ms.toFixed(0)} ms`,
  );
  await assertAuditIsWhole(bearerd);
});

/** Accepts and says nothing. */
async function startSilent(t: TestContext): Promise<number> {
  return listening(t, createSilentServer());
}

test('peers that never close, and providers, Redis, bundle server and collector that hang, hold it no longer than that', async (t) => {
  const provider = await startHeldProvider(t);
  const silent = await startSilent(t);
  const { folder, remove } = createSocketFolder();
  t.after(remove);
  const authority = await createAuthority(folder);
  const { cert, key } = await authority.issue('localhost', 'server');
  const tls = `{ address: '127.0.0.1:0', tls: { certificate: ${cert}, private_key: ${key}, client_ca: ${authority.ca}, allowed_uris: ['spiffe://x/*'] } }`;
  writeFileSync(join(folder, 'bundle-keys.pem'), createBundleSigner().publicPem);
  const bearerd = await startBearerd(t, provider.url, {
    maxWait: '60s',
    // A call that may have rotated the token is waited for, as long as there is time.
    sources: `  person: { required: false, refresh_token: { token_endpoint: '${provider.url}/token', client_id: c, client_auth: none, store: { file: login, key: { file: login-key } } } }\n`,
    login: true,
    check: tls,
    status: tls,
    settings: `shared_cache: { redis: { address: '127.0.0.1:${silent}' }, tenant: t, keys: [{ inline: '${newKey()}' }] }
policy_bundle: { url: 'https://localhost:${silent}/b', name: b, keys: ${folder}/bundle-keys.pem, ca_file: ${authority.ca}, allow: { sources: [fast] } }
tracing: { otlp_endpoint: 'http://127.0.0.1:${silent}', sample: 1 }
`,
  });
  const { client, path, port } = bearerd;
  const waiting = unary(
    client('in.sock'),
    CHECK_PATH,
    inboundRequest({ headers: { authorization: 'Bearer opaque' } }),
  );
  const sockets: Socket[] = [];
  const open = (to: string | number): Socket => {
    const socket = typeof to === 'string' ? connect(to) : connect(to, '127.0.0.1');
    socket.on('error', () => {});
    // It reads nothing and so does not see the end.
    socket.pause();
    sockets.push(socket);
    t.after(() => socket.destroy());
    return socket;
  };
  for (const to of [path('in.sock'), path('xds.sock'), path('admin.sock')]) open(to);
  for (const listener of ['check', 'status', 'health']) open(port(listener));
  // Settled, and from then on deaf: it answers no PING.
  open(path('in.sock')).write(`PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${'\0'.repeat(3)}\x04${'\0'.repeat(5)}`);
  // Opened, and its message never comes.
  openSession(t, path('in.sock'))
    .session.request({ ':method': 'POST', ':path': CHECK_PATH, 'content-type': 'application/grpc' })
    .on('error', () => {});
  open(path('admin.sock')).write('GET /status HTTP/1.1\r\nhost: ');
  const sds = openSds(client('xds.sock'));
  await sds.next();
  // For the source, the login and the introspection.
  await until('the provider was asked', () => provider.held.length >= 3);
  assertEnded(t, await bearerd.end(), 'everything hangs');
  assert.equal((await sds.status).code, grpc.status.UNAVAILABLE);
  assert.equal(
    readInboundAnswer((await waiting).bytes).status,
    503,
    'a call of a provider has an end of its own',
  );
  await assertAuditIsWhole(bearerd);
});

test('a second SIGTERM ends it at once with 1, whatever is in flight', async (t) => {
  const provider = await startHeldProvider(t);
  const bearerd = await startBearerd(t, provider.url);
  const check = bearerd.client('check.sock');
  const waiting = unary(check, CHECK_PATH, checkOf('slow')).catch((error: grpc.ServiceError) => error.code);
  await until('the provider was asked', () => provider.held.length > 0);
  const first = bearerd.end();
  await bearerd.process.waitForOutput(/"listener":"check","state":"draining"/);
  const begun = performance.now();
  bearerd.process.child.kill('SIGTERM');
  assert.deepEqual(((exit) => [exit.code, exit.signal])(await first), [1, null]);
  assert.ok(performance.now() - begun < 5_000, 'with the first one it would be ten seconds');
  // By how the connection broke grpc-js calls it the one or the other.
  const code = await waiting;
  assert.ok(code === grpc.status.UNAVAILABLE || code === grpc.status.INTERNAL, String(code));
});

test('SIGTERM at any moment of the start ends it well, and nothing is left behind', async (t) => {
  const provider = await startHeldProvider(t);
  const ends: string[] = [];
  for (const afterMs of [0, 100, 200, 300, 500]) {
    const bearerd = await startBearerd(t, provider.url, { wait: false });
    await sleep(afterMs);
    const { code, signal, ms } = await bearerd.end();
    ends.push(`${afterMs} ms: ${code ?? signal} after ${ms.toFixed(0)} ms`);
    // Before it has a handler the kernel ends it: it has touched nothing yet.
    assert.ok(code === 0 || signal === 'SIGTERM', bearerd.process.output());
    assert.ok(ms < BOUND_MS, `${ends.at(-1)}`);
    for (const name of ['check.sock', 'in.sock', 'xds.sock', 'admin.sock'])
      assert.ok(!existsSync(bearerd.path(name)), `${name} is left after ${ends.at(-1)}`);
    if (code === 0) assert.equal(auditRecords(bearerd).at(-1)?.event, 'stopped');
  }
  t.diagnostic(ends.join('; '));
});

test('SIGTERM during a reload: what is in flight is answered by the configuration before, and nothing takes over any more', async (t) => {
  const provider = await startHeldProvider(t);
  const bearerd = await startBearerd(t, provider.url, { maxWait: '20s' });
  const { configFile, process: running } = bearerd;
  const waiting = unary(bearerd.client('check.sock'), CHECK_PATH, checkOf('slow'));
  await until('the provider was asked', () => provider.held.length === 1);
  const before = readFileSync(configFile, 'utf8');
  // Its first credential is waited for, and does not come.
  writeFileSync(configFile, before.replace('  slow:\n', '  slow:\n    max_lifetime: 5m\n'));
  running.child.kill('SIGHUP');
  await until('the new source asks too', () => provider.held.length === 2);
  const ended = bearerd.end();
  await running.waitForOutput(/"listener":"check","state":"draining"/);
  running.child.kill('SIGHUP');
  await sleep(800);
  provider.release();
  assert.equal(readInboundAnswer((await waiting).bytes).set['authorization'], 'Bearer slow-token');
  assertEnded(t, await ended, 'a reload under way');
  assert.doesNotMatch(running.output(), /"revision":2/);
  assert.doesNotMatch(readFileSync(bearerd.path('audit.jsonl'), 'utf8'), /configuration_(taken|refused)/);
  await assertAuditIsWhole(bearerd);
});
