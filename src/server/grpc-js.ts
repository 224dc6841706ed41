// The one file that knows grpc-js: a server of bidirectional streams on a Unix socket, for SDS and access logs.
// Connections come from our own listener, so that the socket's mode, group and stale check are those of every socket.
import { createServer } from 'node:net';
import { Server, ServerCredentials, type ServerDuplexStream, type status } from '@grpc/grpc-js';
import { type Clock, systemClock } from '../lib/clock.ts';
import type { Observer } from '../telemetry/observer.ts';
import { type Front, GrpcStatus, type GrpcStatusCode } from './front.ts';
import type { MessageStream, StreamMethod } from './streams.ts';
import { listenOnUnixSocket } from './unix-socket.ts';

export interface StreamServerOptions {
  /** Of the listener, for the observer. */
  readonly name: string;
  readonly methods: readonly StreamMethod[];
  readonly observer: Observer;
  /** Default 1 MiB. */
  readonly maxMessageBytes?: number;
  readonly clock?: Clock;
}

type Call = ServerDuplexStream<Buffer, Buffer>;

/** A peer that does not read what it subscribed to is cut off; it may come back and gets the newest state. */
const MAX_UNREAD_BYTES = 4 << 20;

export function createStreamServer(options: StreamServerOptions): Front {
  const { name, observer, clock = systemClock } = options;
  const server = new Server({
    'grpc.max_receive_message_length': options.maxMessageBytes ?? 1 << 20,
    // Envoy opens one stream a secret and one a worker's access log.
    'grpc.max_concurrent_streams': 10_000,
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 10_000,
    'grpc.enable_channelz': 0,
  });
  const open = new Set<MessageStream<unknown, unknown>>();
  for (const method of options.methods) {
    server.addService(
      { [method.path]: definition(method.path) },
      { [method.path]: (call: Call) => serve(call, method) },
    );
  }
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const listener = createServer((socket) => injector.injectConnection(socket));
  let boundTo = '';

  function serve(call: Call, method: StreamMethod): void {
    let onMessage = (_message: unknown): void => {};
    const endListeners: (() => void)[] = [];
    let ended = false;
    const ending = (): boolean => {
      if (ended) return false;
      ended = true;
      open.delete(stream);
      for (const listener of endListeners) listener();
      return true;
    };
    const stream: MessageStream<unknown, unknown> = {
      send(message) {
        if (ended) return;
        call.write(message as Buffer);
        if (call.writableLength > MAX_UNREAD_BYTES) {
          observer.peerFault(name, 'does_not_read');
          stream.end(GrpcStatus.RESOURCE_EXHAUSTED, 'answers are not read');
        }
      },
      end(code = GrpcStatus.OK, message = '') {
        if (ending()) finish(call, code, message);
      },
      onMessage(listener) {
        onMessage = listener;
      },
      onEnd(listener) {
        endListeners.push(listener);
      },
    };
    const fail = (error: unknown): void => {
      observer.unexpected(name, error);
      stream.end(GrpcStatus.INTERNAL, 'internal error');
    };
    call.on('data', (bytes: Buffer) => {
      if (ended) return;
      let message: unknown;
      try {
        message = method.decode(bytes);
      } catch {
        observer.peerFault(name, 'malformed_message');
        return stream.end(GrpcStatus.INVALID_ARGUMENT, 'malformed message');
      }
      try {
        onMessage(message);
      } catch (error) {
        fail(error);
      }
    });
    call.on('end', () => stream.end());
    call.on('cancelled', () => ending());
    // Of the library, e.g. a message above the limit: it has answered the peer itself.
    call.on('error', () => ending());
    open.add(stream);
    const encode = method.encode;
    try {
      method.handle({ ...stream, send: (message) => stream.send(encode(message)) });
    } catch (error) {
      fail(error);
    }
  }

  return {
    async listen(address) {
      if (address.kind !== 'unix') {
        throw new Error(
          `${name}: only a Unix socket may serve tokens, any process of the pod could read TCP`,
        );
      }
      boundTo = await listenOnUnixSocket(listener, address);
      listener.on('error', (error) => observer.unexpected(name, error));
      observer.listenerChanged(name, 'listening', boundTo);
      return boundTo;
    },
    drain(graceMs) {
      observer.listenerChanged(name, 'draining', boundTo);
      listener.close();
      // These streams never end by themselves, so a graceful shutdown alone would wait for ever.
      for (const stream of [...open]) stream.end(GrpcStatus.UNAVAILABLE, 'shutting down');
      return new Promise((resolve) => {
        const force = clock.setTimer(() => server.forceShutdown(), graceMs);
        server.tryShutdown(() => {
          force.cancel();
          observer.listenerChanged(name, 'closed', boundTo);
          resolve();
        });
      });
    },
  };
}

function finish(call: Call, code: GrpcStatusCode, message: string): void {
  if (code === GrpcStatus.OK) call.end();
  else call.emit('error', { code: code as status, details: message });
}

function definition(path: string) {
  // Bytes both ways: the codecs run where their errors can be answered with fixed text.
  const asIs = (value: Buffer | Uint8Array): Buffer =>
    Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  return {
    path,
    requestStream: true,
    responseStream: true,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
}
