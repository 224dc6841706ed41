// gRPC on our own HTTP/2: message bytes in, answer bytes out. Knows nothing of Envoy or tokens.
// Half the processor time of a usual server in Rust, a fifth of one in Go: bench/README.md.
import { createServer, type Server, type Socket } from 'node:net';
import { type Connection, createConnection } from '../http2/connection.ts';
import { encodeHeaders } from '../http2/hpack/encode.ts';
import { DEFAULT_LIMITS, type Limits } from '../http2/limits.ts';
import type { RequestHead } from '../http2/request-head.ts';
import type { Handler } from '../http2/service.ts';
import { type Clock, systemClock } from '../lib/clock.ts';
import type { Observer } from '../telemetry/observer.ts';
import {
  type Exchange,
  type Front,
  GrpcStatus,
  type GrpcStatusCode,
  SIDE_METADATA,
  type UnaryMethods,
} from './front.ts';
import { refuse } from './grpc-answer.ts';
import { type DuplexCall, DuplexCalls } from './grpc-duplex.ts';
import { type CallDeps, UnaryCalls } from './grpc-unary.ts';
import { isGrpcContentType, parseGrpcTimeoutMs } from './grpc-wire.ts';
import { acceptedSockets, listenOn } from './listen.ts';
import { BufferBudget } from './message-reader.ts';
import { withOneReadBuffer } from './read-buffer.ts';
import type { StreamMethod } from './streams.ts';
import { createTlsServer, type TlsFiles } from './tls-server.ts';

export interface RawFrontOptions {
  readonly observer: Observer;
  /** Of the listener, for the observer. */
  readonly name: string;
  /** What the call's `x-bearerd-side` metadata may confirm, if it is there; anything else is refused. */
  readonly side?: 'inbound' | 'outbound';
  /** Bidirectional methods beside the unary ones. */
  readonly streams?: readonly StreamMethod[];
  /** Bidirectional methods of one message each way: the call ends with the answer to the first message. */
  readonly exchanges?: ReadonlyMap<string, Exchange>;
  /** Default 256 KiB. */
  readonly maxMessageBytes?: number;
  /** Per connection; default 1000. */
  readonly maxConcurrentStreams?: number;
  /** TLS 1.3 with client certificates. Default: plain. */
  readonly tls?: TlsFiles;
  readonly limits?: Partial<Limits>;
  readonly clock?: Clock;
  /** [0, 1), for jitter. */
  readonly random?: () => number;
}

/** Of messages that are not whole yet, over all connections. */
const MAX_UNFINISHED_BYTES = 32 << 20;

export function createRawFront(methods: UnaryMethods, options: RawFrontOptions): Front {
  const { observer, name, clock = systemClock, random = Math.random } = options;
  const limits: Limits = {
    ...DEFAULT_LIMITS,
    ...options.limits,
    ...(options.maxConcurrentStreams === undefined ? {} : { maxStreams: options.maxConcurrentStreams }),
  };
  const deps: CallDeps = {
    name,
    observer,
    clock,
    maxMessageBytes: options.maxMessageBytes ?? 256 << 10,
    budget: new BufferBudget(MAX_UNFINISHED_BYTES),
  };
  const streams = new Map(options.streams?.map((method) => [method.path, method]));
  const open = new Set<DuplexCall>();
  const connections = new Set<Connection>();
  let boundTo = '';
  /** Nothing of one that never listened, since the address of another one could not be had. */
  const tell = (state: 'draining' | 'closed'): void => {
    if (boundTo !== '') observer.listenerChanged(name, state, boundTo);
  };

  function route(head: RequestHead): Handler {
    if (head.get(':method') !== 'POST') return refusalHttp(405);
    if (!isGrpcContentType(head.get('content-type'))) return refusalHttp(415);
    const path = head.get(':path') ?? '';
    const unary = methods.get(path);
    const exchange = options.exchanges?.get(path);
    const duplex = streams.get(path);
    if (unary === undefined && exchange === undefined && duplex === undefined) {
      return refusal(GrpcStatus.UNIMPLEMENTED, 'unknown method');
    }
    const side = head.get(SIDE_METADATA);
    if (side !== undefined && side !== options.side)
      return refusal(GrpcStatus.PERMISSION_DENIED, 'another side');
    const encoding = head.get('grpc-encoding');
    if (encoding !== undefined && encoding !== 'identity') {
      return refusal(GrpcStatus.UNIMPLEMENTED, 'compressed messages are not supported');
    }
    const timeout = head.get('grpc-timeout');
    const timeoutMs = timeout === undefined ? undefined : parseGrpcTimeoutMs(timeout);
    if (timeout !== undefined && timeoutMs === undefined) {
      return refusal(GrpcStatus.INTERNAL, 'malformed grpc-timeout');
    }
    if (unary !== undefined) return new UnaryCalls(unary, timeoutMs, deps);
    return exchange !== undefined
      ? new UnaryCalls(exchange(head), timeoutMs, deps, true)
      : new DuplexCalls(duplex!, deps, open);
  }

  function serve(socket: Socket): void {
    socket.setNoDelay(true);
    const connection = createConnection(
      socket,
      { route },
      {
        limits,
        clock,
        random,
        onFault: (fault) => observer.peerFault(name, fault),
        onClose: () => connections.delete(connection),
      },
    );
    connections.add(connection);
  }

  let server: Server | undefined;
  let accepted: { destroy(): void } | undefined;
  let stopWatching = (): void => {};

  return {
    async listen(address) {
      if (options.tls === undefined) {
        server = createServer({ pauseOnConnect: true }, (accepted) => serve(withOneReadBuffer(accepted)));
      } else
        ({ server, stopWatching } = await createTlsServer(
          { files: options.tls, name, observer, clock },
          serve,
        ));
      accepted = acceptedSockets(server);
      boundTo = await listenOn(server, address);
      server.on('error', (error) => observer.unexpected(name, error));
      observer.listenerChanged(name, 'listening', boundTo);
      return boundTo;
    },
    drain(graceMs) {
      const listener = server;
      if (listener === undefined) return Promise.resolve();
      tell('draining');
      stopWatching();
      // Streams never end by themselves.
      for (const call of [...open]) call.end(GrpcStatus.UNAVAILABLE, 'shutting down');
      return new Promise((resolve) => {
        const force = clock.setTimer(() => {
          for (const connection of [...connections]) connection.destroy();
          accepted?.destroy();
        }, graceMs);
        listener.close(() => {
          force.cancel();
          tell('closed');
          resolve();
        });
        for (const connection of [...connections]) connection.drain();
      });
    },
  };
}

function refusal(code: GrpcStatusCode, message: string): Handler {
  return { open: (stream) => refuse(stream, code, message), data: () => {}, cancelled: () => false };
}

function refusalHttp(status: 405 | 415): Handler {
  const head = encodeHeaders([[':status', String(status)]]);
  return { open: (stream) => stream.respondHead(head), data: () => {}, cancelled: () => false };
}
