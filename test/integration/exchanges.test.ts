// Bidirectional methods of one message each way on our own HTTP/2, with grpc-js and node:http2 as clients.
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import * as grpc from '@grpc/grpc-js';
import { type Front, GrpcError, GrpcStatus, type UnaryHandler } from '../../src/server/front.ts';
import { frameMessage } from '../../src/server/grpc-wire.ts';
import { createRawFront } from '../../src/server/raw-front.ts';
import { createRecordingObserver } from '../support/recording-observer.ts';
import { createSocketFolder } from '../support/sockets.ts';
import { until } from '../support/until.ts';

const bytes = (value: Uint8Array) => Buffer.from(value);
let aborted = 0;
/** Calls that reached their handler, of those that take time. */
let entered = 0;
const handlers: Record<string, UnaryHandler> = {
  '/t.T/Echo': (message) => Buffer.from(message),
  '/t.T/EchoLater': async (message) => {
    const kept = Buffer.from(message);
    entered++;
    await sleep(50);
    return kept;
  },
  '/t.T/Refuses': () => {
    throw new GrpcError(GrpcStatus.INVALID_ARGUMENT, 'no');
  },
  '/t.T/Hangs': (_, call) =>
    new Promise((_resolve, reject) => {
      entered++;
      call.signal.addEventListener('abort', () => {
        aborted++;
        reject(new Error('gone'));
      });
    }),
};

describe('exchanges', () => {
  const sockets = createSocketFolder();
  const { observer, named } = createRecordingObserver();
  let front: Front;
  let client: grpc.Client;
  let path = '';

  before(async () => {
    front = createRawFront(new Map(), {
      observer,
      name: 'check',
      exchanges: new Map(Object.entries(handlers).map(([path, handler]) => [path, () => handler])),
    });
    path = sockets.address('x.sock').path;
    await front.listen(sockets.address('x.sock'));
    client = new grpc.Client(`unix://${path}`, grpc.credentials.createInsecure());
  });
  after(async () => {
    client.close();
    await front.drain(100);
  });

  /** Leaves its side open, as Envoy does. */
  const ask = (method: string, message: Buffer) => {
    const call = client.makeBidiStreamRequest(method, bytes, bytes, new grpc.Metadata(), {
      deadline: Date.now() + 30_000,
    });
    const answers: Buffer[] = [];
    call.on('data', (answer: Buffer) => answers.push(answer));
    call.on('error', () => {});
    const ended = new Promise<[Buffer[], number]>((resolve) =>
      call.on('status', ({ code }) => resolve([answers, code])),
    );
    call.write(message);
    return { call, ended };
  };

  test('the first message is answered and the call ended, while the caller leaves its side open', async () => {
    for (const method of ['/t.T/Echo', '/t.T/EchoLater']) {
      const [answers, code] = await ask(method, Buffer.from(method)).ended;
      assert.deepEqual([answers.map(String), code], [[method], GrpcStatus.OK]);
    }
  });

  test('a message in many frames, and one of many kilobytes, are one message', async () => {
    const session = http2.connect('http://t', { createConnection: () => connect(path) });
    const message = Buffer.alloc(100_000, 'x');
    const frame = frameMessage(message);
    const stream = session.request({
      ':method': 'POST',
      ':path': '/t.T/Echo',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    for (const [start, end] of [
      [0, 3],
      [3, 5],
      [5, 70_000],
      [70_000, frame.length],
    ] as const) {
      stream.write(frame.subarray(start, end));
      await sleep(5);
    }
    const received: Buffer[] = [];
    for await (const chunk of stream) received.push(chunk as Buffer);
    assert.ok(Buffer.concat(received).equals(frame));
    session.destroy();
  });

  test('a refusal has its status and no message, so that nobody takes it for an answer', async () => {
    const [answers, code] = await ask('/t.T/Refuses', Buffer.from('x')).ended;
    assert.deepEqual([answers, code], [[], GrpcStatus.INVALID_ARGUMENT]);
  });

  test('a call that ends without a message is refused, never ended with status OK', async () => {
    const call = client.makeBidiStreamRequest('/t.T/Echo', bytes, bytes, new grpc.Metadata(), {});
    call.on('error', () => {});
    call.on('data', () => assert.fail('an answer to nothing'));
    const code = new Promise((resolve) => call.on('status', (status) => resolve(status.code)));
    call.end();
    assert.equal(await code, GrpcStatus.UNIMPLEMENTED);
  });

  test('what comes after the first message is ignored, also the end of the caller’s side', async () => {
    const { call, ended } = ask('/t.T/EchoLater', Buffer.from('one'));
    call.write(Buffer.from('two'));
    call.end();
    const [answers, code] = await ended;
    assert.deepEqual([answers.map(String), code], [['one'], GrpcStatus.OK]);
  });

  test('a caller that gives up is noticed, and one that resets after its answer costs nothing', async () => {
    const before = entered;
    const { call, ended } = ask('/t.T/Hangs', Buffer.from('x'));
    await until('the call is there', () => entered > before);
    call.cancel();
    await ended;
    await until('it was noticed', () => aborted === 1);
    for (let i = 0; i < 2_000; i++) {
      const one = ask('/t.T/Echo', Buffer.from('x'));
      await one.ended;
      one.call.cancel();
    }
    assert.deepEqual(named('peerFault'), []);
  });

  test('draining answers what waits, with GOAWAY sent, and ends after the grace what does not end', async () => {
    const address = sockets.address('d.sock');
    const draining = createRawFront(new Map(), {
      observer,
      name: 'check',
      exchanges: new Map(Object.entries(handlers).map(([path, handler]) => [path, () => handler])),
    });
    await draining.listen(address);
    const other = new grpc.Client(`unix://${address.path}`, grpc.credentials.createInsecure());
    const before = entered;
    const statuses = ['/t.T/EchoLater', '/t.T/Hangs'].map((method) => {
      const call = other.makeBidiStreamRequest(method, bytes, bytes, new grpc.Metadata(), {});
      const answers: string[] = [];
      call.on('data', (answer: Buffer) => answers.push(String(answer)));
      call.on('error', () => {});
      call.write(Buffer.from('x'));
      return new Promise<[string[], number]>((resolve) =>
        call.on('status', ({ code }) => resolve([answers, code])),
      );
    });
    await until('both are there', () => entered === before + 2);
    const begun = performance.now();
    await draining.drain(300);
    assert.ok(performance.now() - begun < 5_000);
    const [later, hangs] = await Promise.all(statuses);
    assert.deepEqual(later, [['x'], GrpcStatus.OK]);
    // Whatever grpc-js calls it: no answer, and not OK, which Envoy would take for "go on without".
    assert.deepEqual(hangs![0], []);
    assert.notEqual(hangs![1], GrpcStatus.OK);
    other.close();
  });
});
