// The front before clients that others wrote: grpc-js, Go, Python's h2, curl and h2load. Envoy's own turn is in e2e.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import * as grpc from '@grpc/grpc-js';
import type { Front, UnaryHandler } from '../../../src/server/front.ts';
import { frameMessage } from '../../../src/server/grpc-wire.ts';
import { createRawFront } from '../../../src/server/raw-front.ts';
import { streamMethod } from '../../../src/server/streams.ts';
import { goProgram, hasGo } from '../../../tools/parts/go.ts';
import { pythonPackage } from '../../../tools/parts/python.ts';
import { openStream } from '../../support/grpc-stream.ts';
import { createRecordingObserver } from '../../support/recording-observer.ts';
import { createSocketFolder } from '../../support/sockets.ts';

const run = promisify(execFile);
const SUPPORT = join(import.meta.dirname, '../../support');
const bytesCodec = {
  encode: (message: Uint8Array) => ({ finish: () => message }),
  decode: (bytes: Uint8Array) => Uint8Array.from(bytes),
};

let waiting = 0;
const methods = new Map<string, UnaryHandler>([
  ['/t.T/Echo', (message) => message],
  [
    '/t.T/Waits',
    (_message, call) =>
      new Promise((_resolve, reject) => {
        waiting++;
        call.signal.addEventListener('abort', () => {
          waiting--;
          reject(new Error('gone'));
        });
      }),
  ],
]);
let streamsOpen = 0;
const echoStream = streamMethod<Uint8Array, Uint8Array>(
  '/t.T/EchoStream',
  bytesCodec,
  bytesCodec,
  (stream) => {
    streamsOpen++;
    stream.onMessage((message) => {
      if (Buffer.from(message).toString() === 'end') stream.end(grpc.status.NOT_FOUND as 5, 'as asked');
      else stream.send(message);
    });
    stream.onEnd(() => streamsOpen--);
  },
);

const has = (program: string) =>
  run(program, ['--version']).then(
    () => true,
    () => false,
  );
const [go, curl, h2load] = await Promise.all([hasGo(), has('curl'), has('h2load')]);

describe('clients of others', () => {
  const sockets = createSocketFolder();
  const recorded = createRecordingObserver();
  const options = { observer: recorded.observer, name: 'check', streams: [echoStream] };
  let unix: Front;
  let tcp: Front;
  let unixAddress = '';
  let port = '';

  before(async () => {
    unix = createRawFront(methods, options);
    tcp = createRawFront(methods, options);
    unixAddress = await unix.listen(sockets.address('clients.sock'));
    port = (await tcp.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 })).split(':')[1]!;
  });

  after(async () => {
    await Promise.all([unix.drain(100), tcp.drain(100)]);
    sockets.remove();
    assert.deepEqual(recorded.named('peerFault'), [], 'no client was taken for an attacker');
    assert.deepEqual([waiting, streamsOpen], [0, 0], 'nothing is left of any call');
  });

  test('grpc-js: messages both ways on one stream, in order, until either side ends it', async (t) => {
    const client = new grpc.Client(unixAddress, grpc.credentials.createInsecure());
    t.after(() => client.close());
    const stream = openStream(client, '/t.T/EchoStream', bytesCodec, bytesCodec);
    for (let i = 0; i < 200; i++) stream.send(Buffer.alloc(i * 500, i));
    for (let i = 0; i < 200; i++)
      assert.deepEqual(Buffer.from(await stream.next()), Buffer.alloc(i * 500, i));
    stream.send(Buffer.from('end'));
    assert.deepEqual(await stream.status, { code: grpc.status.NOT_FOUND, details: 'as asked' });
    const second = openStream(client, '/t.T/EchoStream', bytesCodec, bytesCodec);
    second.send(Buffer.from('x'));
    await second.next();
    assert.equal(streamsOpen, 1);
    second.cancel();
    assert.equal((await second.status).code, grpc.status.CANCELLED);
  });

  test('Go: calls from twenty goroutines, statuses, deadlines, cancellation, a stream', {
    skip: !go && 'no Go',
  }, async () => {
    const program = await goProgram('go-client', join(SUPPORT, 'go-client'), '.');
    const { stdout } = await run(program, [unixAddress], { timeout: 60_000 });
    assert.deepEqual(JSON.parse(stdout), {
      unary: 4_000,
      unknown_method: grpc.status.UNIMPLEMENTED,
      deadline: grpc.status.DEADLINE_EXCEEDED,
      cancelled: grpc.status.CANCELLED,
      stream: 500,
    });
  });

  test('Python h2: small messages, and large ones through both windows', async () => {
    const packages = await Promise.all((['h2', 'hpack', 'hyperframe'] as const).map(pythonPackage));
    const env = { ...process.env, PYTHONPATH: packages.join(delimiter) };
    for (const [calls, size] of [
      [500, 100],
      [30, 200_000],
    ] as const) {
      const args = [join(SUPPORT, 'h2-client.py'), port, String(calls), String(size)];
      const { stdout } = await run('python3', args, { env, timeout: 60_000 });
      assert.deepEqual(JSON.parse(stdout), { calls, right: calls });
    }
  });

  describe('programs', () => {
    const folder = mkdtempSync(join(tmpdir(), 'bearerd-clients-'));
    const body = join(folder, 'body');
    before(() => writeFileSync(body, frameMessage(Buffer.from('from a file'))));
    after(() => rmSync(folder, { recursive: true, force: true }));
    const head = ['-H', 'content-type: application/grpc', '-H', 'te: trailers'];

    test('curl with prior knowledge: over TCP and over a Unix socket', {
      skip: !curl && 'no curl',
    }, async () => {
      for (const where of [[], ['--unix-socket', unixAddress.slice('unix://'.length)]]) {
        const answer = join(folder, 'answer');
        const { stdout } = await run('curl', [
          ...['--silent', '--show-error', '--http2-prior-knowledge', '--max-time', '10', ...where],
          ...['--data-binary', `@${body}`, ...head, '--dump-header', '-', '--output', answer],
          `http://127.0.0.1:${port}/t.T/Echo`,
        ]);
        assert.match(stdout, /^HTTP\/2 200/);
        assert.match(stdout, /^grpc-status: 0/m);
        assert.deepEqual(readFileSync(answer), frameMessage(Buffer.from('from a file')));
      }
    });

    test('h2load: 20,000 calls, each answered', { skip: !h2load && 'no h2load' }, async (t) => {
      const { stdout } = await run('h2load', [
        ...['-n', '20000', '-c', '4', '-m', '32', '-d', body, ...head],
        `http://127.0.0.1:${port}/t.T/Echo`,
      ]);
      assert.match(stdout, /20000 done, 20000 succeeded, 0 failed, 0 errored, 0 timeout/);
      assert.match(stdout, /status codes: 20000 2xx/);
      t.diagnostic(/finished in .*/.exec(stdout)![0]);
    });
  });
});
