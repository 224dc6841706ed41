// Both fronts against a grpc-js server with the same handlers: a grpc-js client must not see which is which.
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import * as grpc from '@grpc/grpc-js';
import { type Front, GrpcError, GrpcStatus, type UnaryHandler } from '../../src/server/front.ts';
import { frameMessage } from '../../src/server/grpc-wire.ts';
import { createNodeFront } from '../../src/server/node-front.ts';
import { createRawFront } from '../../src/server/raw-front.ts';
import { createRecordingObserver } from '../support/recording-observer.ts';
import { createSocketFolder } from '../support/sockets.ts';
import { until } from '../support/until.ts';

const FRONTS = [
  ['raw', createRawFront],
  ['node', createNodeFront],
] as const;

const MAX_BYTES = 256 << 10;
const bytes = (value: Uint8Array) => Buffer.from(value);
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const aborted: string[] = [];
/** Of calls that hang. */
let entered = 0;
const handlers: Record<string, UnaryHandler> = {
  '/t.T/Echo': (message) => message,
  '/t.T/EchoLater': async (message) => {
    const kept = Buffer.from(message);
    await sleep(20);
    return kept;
  },
  '/t.T/Empty': () => new Uint8Array(),
  '/t.T/NotFound': () => {
    throw new GrpcError(GrpcStatus.NOT_FOUND, 'no such service: 100 %, ä');
  },
  '/t.T/NotFoundLater': async () => {
    await sleep(5);
    throw new GrpcError(GrpcStatus.NOT_FOUND, 'later');
  },
  '/t.T/Throws': () => {
    throw new Error('token eyJhbGciOi in the text');
  },
  '/t.T/ThrowsLater': async () => {
    await sleep(5);
    throw new Error('token eyJhbGciOi in the text');
  },
  '/t.T/Hangs': (_message, call) =>
    new Promise((_resolve, reject) => {
      entered++;
      call.signal.addEventListener('abort', () => {
        aborted.push('Hangs');
        reject(new Error('gone'));
      });
    }),
};

/** The oracle: the same handlers behind grpc-js. */
function createReference(): grpc.Server {
  const server = new grpc.Server({ 'grpc.max_receive_message_length': MAX_BYTES });
  const define = (path: string) => ({
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  });
  for (const [path, handler] of Object.entries(handlers)) {
    const call: grpc.handleUnaryCall<Buffer, Buffer> = async (request, answer) => {
      const controller = new AbortController();
      request.on('cancelled', () => controller.abort());
      try {
        const result = await handler(request.request, { timeoutMs: undefined, signal: controller.signal });
        answer(null, Buffer.from(result));
      } catch (error) {
        answer(
          error instanceof GrpcError
            ? { code: error.code as number, details: error.message }
            : { code: grpc.status.INTERNAL, details: 'internal error' },
        );
      }
    };
    server.addService({ [path]: define(path) }, { [path]: call });
  }
  return server;
}

interface Result {
  readonly code: number;
  readonly details: string;
  readonly body: string | undefined;
}

for (const [name, createFront] of FRONTS)
  describe(`unary calls, front: ${name}`, () => {
    const sockets = createSocketFolder();
    const recorded = createRecordingObserver();
    let front: Front;
    let reference: grpc.Server;
    const clients: Record<'front' | 'grpc-js', grpc.Client> = {} as never;
    let frontAddress = '';

    before(async () => {
      front = createFront(new Map(Object.entries(handlers)), {
        observer: recorded.observer,
        name: 'check',
      });
      frontAddress = await front.listen(sockets.address('front.sock'));
      reference = createReference();
      const port = await new Promise<number>((resolve, reject) =>
        reference.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
          error ? reject(error) : resolve(bound),
        ),
      );
      clients.front = new grpc.Client(frontAddress, grpc.credentials.createInsecure());
      clients['grpc-js'] = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
    });
    after(async () => {
      for (const client of Object.values(clients)) client.close();
      reference.forceShutdown();
      await front.drain(100);
      sockets.remove();
    });

    function call(
      which: 'front' | 'grpc-js',
      path: string,
      message: Uint8Array,
      options: grpc.CallOptions = {},
      cancelled?: Promise<unknown>,
    ): Promise<Result> {
      return new Promise((resolve) => {
        const request = clients[which].makeUnaryRequest(
          path,
          bytes,
          bytes,
          message,
          new grpc.Metadata(),
          options,
          (error, value) =>
            resolve(
              error
                ? { code: error.code, details: error.details, body: undefined }
                : { code: 0, details: '', body: value!.toString('hex') },
            ),
        );
        void cancelled?.then(() => request.cancel());
      });
    }

    /** As many messages as wanted, as a client stream. */
    function stream(
      which: 'front' | 'grpc-js',
      path: string,
      messages: readonly Uint8Array[],
    ): Promise<number> {
      return new Promise((resolve) => {
        const request = clients[which].makeClientStreamRequest(path, bytes, bytes, (error) =>
          resolve(error?.code ?? 0),
        );
        for (const message of messages) request.write(message);
        request.end();
      });
    }

    async function both(path: string, message: Uint8Array): Promise<Result> {
      const mine = await call('front', path, message);
      const theirs = await call('grpc-js', path, message);
      assert.deepEqual(mine, theirs, `${path}: front and grpc-js differ`);
      return mine;
    }

    const message = Buffer.from('0a03616263', 'hex');

    test('an immediate and a later answer arrive whole, empty ones and empty requests too', async () => {
      for (const path of ['/t.T/Echo', '/t.T/EchoLater']) {
        assert.equal((await both(path, message)).body, '0a03616263');
        assert.equal((await both(path, Buffer.alloc(0))).body, '');
        assert.equal((await both(path, Buffer.alloc(200_000, 7))).body!.length, 400_000);
      }
      assert.equal((await both('/t.T/Empty', message)).body, '');
    });

    test('a status of our own arrives with its text', async () => {
      assert.deepEqual(await both('/t.T/NotFound', message), {
        code: grpc.status.NOT_FOUND,
        details: 'no such service: 100 %, ä',
        body: undefined,
      });
      assert.equal((await both('/t.T/NotFoundLater', message)).code, grpc.status.NOT_FOUND);
    });

    test('an unknown error is INTERNAL with fixed text, and the observer is told', async () => {
      const told = recorded.named('unexpected').length;
      for (const path of ['/t.T/Throws', '/t.T/ThrowsLater']) {
        assert.deepEqual(await both(path, message), {
          code: grpc.status.INTERNAL,
          details: 'internal error',
          body: undefined,
        });
      }
      assert.equal(recorded.named('unexpected').length, told + 2);
    });

    test('an unknown method is UNIMPLEMENTED', async () => {
      for (const which of ['front', 'grpc-js'] as const) {
        assert.equal((await call(which, '/t.T/Nothing', message)).code, grpc.status.UNIMPLEMENTED);
      }
    });

    test('a message above 256 KiB is RESOURCE_EXHAUSTED, one of exactly 256 KiB is served', async () => {
      assert.equal((await both('/t.T/Echo', Buffer.alloc(MAX_BYTES))).code, 0);
      for (const size of [MAX_BYTES + 1, 4 << 20]) {
        for (const which of ['front', 'grpc-js'] as const) {
          const { code } = await call(which, '/t.T/Echo', Buffer.alloc(size));
          assert.equal(code, grpc.status.RESOURCE_EXHAUSTED, `${which}, ${size} bytes`);
        }
      }
      assert.equal((await both('/t.T/Echo', message)).code, 0, 'the connection lives on');
    });

    test('no message and two messages are refused alike', async () => {
      for (const messages of [[], [message, message], [Buffer.alloc(0), message]]) {
        for (const which of ['front', 'grpc-js'] as const) {
          assert.equal(await stream(which, '/t.T/Echo', messages), grpc.status.UNIMPLEMENTED, which);
        }
      }
    });

    test('a deadline ends a hanging call on both sides', async () => {
      const seen = aborted.length;
      for (const which of ['front', 'grpc-js'] as const) {
        const { code } = await call(which, '/t.T/Hangs', message, { deadline: Date.now() + 500 });
        assert.equal(code, grpc.status.DEADLINE_EXCEEDED, which);
      }
      await until('both handlers saw the end', () => aborted.length === seen + 2);
    });

    test('a cancelled call aborts its signal', async () => {
      const seen = aborted.length;
      for (const which of ['front', 'grpc-js'] as const) {
        const before = entered;
        const isThere = until('the call is there', () => entered > before);
        assert.equal((await call(which, '/t.T/Hangs', message, {}, isThere)).code, grpc.status.CANCELLED);
      }
      await until('both handlers saw the end', () => aborted.length === seen + 2);
    });

    test('3,000 cancelled calls do not cost the connection', async () => {
      const errors = recorded.named('peerFault').length;
      for (let round = 0; round < 6; round++) {
        await Promise.all(
          Array.from({ length: 500 }, () => call('front', '/t.T/Hangs', message, {}, sleep(0))),
        );
      }
      assert.equal((await call('front', '/t.T/Echo', message)).code, 0);
      assert.equal(recorded.named('peerFault').length, errors);
    });

    describe('below gRPC', () => {
      async function raw(
        headers: http2.OutgoingHttpHeaders,
        body: Uint8Array | undefined,
      ): Promise<http2.IncomingHttpHeaders> {
        const session = http2.connect('http://bearerd', {
          createConnection: () => connect(frontAddress.replace('unix://', '')),
        });
        try {
          const request = session.request({
            ':method': 'POST',
            ':path': '/t.T/Echo',
            te: 'trailers',
            ...headers,
          });
          request.on('error', () => {});
          if (body) request.write(body);
          request.end();
          return await new Promise((resolve, reject) => {
            let seen: http2.IncomingHttpHeaders = {};
            request.on('response', (got) => {
              seen = got;
            });
            request.on('trailers', (got) => {
              seen = { ...seen, ...got };
            });
            request.on('close', () => resolve(seen));
            request.resume();
            setTimeout(() => reject(new Error('no answer')), 20_000).unref();
          });
        } finally {
          session.destroy();
        }
      }
      const grpcHeaders = { 'content-type': 'application/grpc' };

      test('another content type is HTTP 415, another method HTTP 405', async () => {
        const body = frameMessage(message);
        assert.equal((await raw({ 'content-type': 'application/json' }, body))[':status'], 415);
        assert.equal((await raw({}, body))[':status'], 415);
        assert.equal((await raw({ ...grpcHeaders, ':method': 'PUT' }, body))[':status'], 405);
      });

      test('a compressed request is UNIMPLEMENTED, since nothing is unpacked here', async () => {
        const headers = { ...grpcHeaders, 'grpc-encoding': 'gzip' };
        assert.equal((await raw(headers, frameMessage(message)))['grpc-status'], '12');
        const identity = { ...grpcHeaders, 'grpc-encoding': 'identity' };
        assert.equal((await raw(identity, frameMessage(message)))['grpc-status'], '0');
      });

      test('a compressed flag without an encoding, a cut frame and a bad timeout are INTERNAL', async () => {
        const flagged = frameMessage(message);
        flagged[0] = 1;
        assert.equal((await raw(grpcHeaders, flagged))['grpc-status'], '13');
        for (const cut of [1, 4, 5, 9]) {
          const answer = await raw(grpcHeaders, frameMessage(message).subarray(0, cut));
          assert.equal(answer['grpc-status'], '13', `${cut} bytes`);
        }
        const timeout = { ...grpcHeaders, 'grpc-timeout': 'soon' };
        assert.equal((await raw(timeout, frameMessage(message)))['grpc-status'], '13');
      });
    });
  });

for (const [name, createFront] of FRONTS)
  describe(`drain, front: ${name}`, () => {
    test('a call in flight ends well, then the front is closed', async () => {
      const sockets = createSocketFolder();
      const entered = Promise.withResolvers<void>();
      const echoLater = async (message: Uint8Array) => {
        const kept = Buffer.from(message);
        entered.resolve();
        await sleep(20);
        return kept;
      };
      const front = createFront(new Map([['/t.T/EchoLater', echoLater]]), {
        observer: createRecordingObserver().observer,
        name: 'check',
      });
      const client = new grpc.Client(
        await front.listen(sockets.address('d.sock')),
        grpc.credentials.createInsecure(),
      );
      const inFlight = new Promise<Buffer>((resolve, reject) => {
        client.makeUnaryRequest('/t.T/EchoLater', bytes, bytes, Buffer.from('x'), (error, value) =>
          error ? reject(error) : resolve(value!),
        );
      });
      await entered.promise;
      await Promise.all([front.drain(1_000), inFlight]);
      assert.equal((await inFlight).toString(), 'x');
      client.close();
      sockets.remove();
    });

    test('a call that does not end is cut off after the grace', async () => {
      const sockets = createSocketFolder();
      const front = createFront(new Map(Object.entries(handlers)), {
        observer: createRecordingObserver().observer,
        name: 'check',
      });
      const client = new grpc.Client(
        await front.listen(sockets.address('d.sock')),
        grpc.credentials.createInsecure(),
      );
      const before = entered;
      const ended = new Promise<number>((resolve) => {
        client.makeUnaryRequest('/t.T/Hangs', bytes, bytes, Buffer.from('x'), (error) =>
          resolve(error!.code),
        );
      });
      await until('the call is there', () => entered > before);
      const begun = performance.now();
      await front.drain(100);
      assert.ok(performance.now() - begun < 5_000);
      // By how the connection broke grpc-js calls it one of these.
      const { UNAVAILABLE, CANCELLED, INTERNAL } = grpc.status;
      assert.ok([UNAVAILABLE, CANCELLED, INTERNAL].includes(await ended));
      client.close();
      sockets.remove();
    });
  });
