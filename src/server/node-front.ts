// Unary gRPC on node:http2: message bytes in, answer bytes out. Knows nothing of Envoy or tokens.
// Follows "gRPC over HTTP/2". No text of an unknown error ever reaches the peer.
import { constants, createServer, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import { type Clock, systemClock } from '../lib/clock.ts';
import type { Observer } from '../telemetry/observer.ts';
import {
  type Front,
  GrpcError,
  GrpcStatus,
  type GrpcStatusCode,
  SIDE_METADATA,
  type UnaryMethods,
} from './front.ts';
import {
  encodeGrpcMessage,
  FRAME_HEADER_BYTES,
  frameMessage,
  isGrpcContentType,
  parseGrpcTimeoutMs,
} from './grpc-wire.ts';
import { listenOn } from './listen.ts';
import { createPendingCall, type PendingCall } from './pending-call.ts';

export interface NodeFrontOptions {
  readonly observer: Observer;
  /** Of the listener, for the observer. */
  readonly name: string;
  /** What the call's `x-bearerd-side` metadata may confirm, if it is there; anything else is refused. */
  readonly side?: 'inbound' | 'outbound';
  /** Default 256 KiB. */
  readonly maxMessageBytes?: number;
  /** Per connection; default 1000. */
  readonly maxConcurrentStreams?: number;
  readonly clock?: Clock;
}

// Each timeout or abort on the caller's side is one RST_STREAM. By Node's default about 1,000 of them close the whole
// connection, with every call in flight on it.
const STREAM_RESET_BURST = 1_000_000;
const STREAM_RESET_RATE = 100_000;
// Calls over the limit of concurrent ones are refused one by one and tried again by Envoy. By Node's default the
// hundredth closes the connection; a flood of aborted calls gets there, as Node counts them until it has cleaned up.
const REJECTED_STREAMS = 1_000_000;

const CONTENT_TYPE = 'application/grpc';
const OK_HEADERS = { ':status': 200, 'content-type': CONTENT_TYPE };
const OK_TRAILERS = { 'grpc-status': '0' };

export function createNodeFront(methods: UnaryMethods, options: NodeFrontOptions): Front {
  const { observer, name, clock = systemClock } = options;
  const maxMessageBytes = options.maxMessageBytes ?? 256 << 10;
  const sessions = new Set<ServerHttp2Session>();
  let boundTo = '';
  /** Nothing of one that never listened, since the address of another one could not be had. */
  const tell = (state: 'draining' | 'closed'): void => {
    if (boundTo !== '') observer.listenerChanged(name, state, boundTo);
  };

  const server = createServer({
    settings: { maxConcurrentStreams: options.maxConcurrentStreams ?? 1_000 },
    streamResetBurst: STREAM_RESET_BURST,
    streamResetRate: STREAM_RESET_RATE,
    maxSessionRejectedStreams: REJECTED_STREAMS,
  });
  server.on('session', (session) => {
    sessions.add(session);
    session.once('close', () => sessions.delete(session));
    session.on('error', () => observer.peerFault(name, 'connection_error'));
  });
  server.on('sessionError', () => {}); // told by the session itself
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    stream.on('error', () => {}); // 'close' follows and ends the call
    if (headers[':method'] !== 'POST') return refuseHttp(stream, 405);
    if (!isGrpcContentType(headers['content-type'])) return refuseHttp(stream, 415);
    const handler = methods.get(headers[':path'] ?? '');
    if (!handler) return refuse(stream, GrpcStatus.UNIMPLEMENTED, 'unknown method');
    const side = headers[SIDE_METADATA];
    if (side !== undefined && side !== options.side) {
      return refuse(stream, GrpcStatus.PERMISSION_DENIED, 'another side');
    }
    const encoding = headers['grpc-encoding'];
    if (encoding !== undefined && encoding !== 'identity') {
      return refuse(stream, GrpcStatus.UNIMPLEMENTED, 'compressed messages are not supported');
    }
    const timeout = headers['grpc-timeout'];
    const timeoutMs = timeout === undefined ? undefined : parseGrpcTimeoutMs(String(timeout));
    if (timeout !== undefined && timeoutMs === undefined) {
      return refuse(stream, GrpcStatus.INTERNAL, 'malformed grpc-timeout');
    }
    readMessage(stream, maxMessageBytes, (message) => {
      const call = createPendingCall(timeoutMs);
      try {
        const answer = handler(message, call);
        if (answer instanceof Uint8Array) reply(stream, answer);
        else replyLater(stream, call, answer);
      } catch (error) {
        fail(stream, error);
      }
    });
  });

  /** Only an answer that is not there yet pays for a deadline and for watching the caller. */
  function replyLater(stream: ServerHttp2Stream, call: PendingCall, answer: Promise<Uint8Array>): void {
    let ended = false;
    const end = (): boolean => {
      if (ended) return false;
      ended = true;
      deadline?.cancel();
      return true;
    };
    const deadline =
      call.timeoutMs === undefined
        ? undefined
        : clock.setTimer(() => {
            if (!end()) return;
            refuse(stream, GrpcStatus.DEADLINE_EXCEEDED, 'deadline exceeded');
            call.abort();
          }, call.timeoutMs);
    stream.once('close', () => {
      if (end()) call.abort();
    });
    answer.then(
      (bytes) => end() && reply(stream, bytes),
      (error) => end() && fail(stream, error),
    );
  }

  function fail(stream: ServerHttp2Stream, error: unknown): void {
    if (error instanceof GrpcError) {
      refuse(stream, error.code, error.message);
    } else {
      observer.unexpected(name, error);
      refuse(stream, GrpcStatus.INTERNAL, 'internal error');
    }
  }

  return {
    async listen(address) {
      boundTo = await listenOn(server, address);
      server.on('error', (error) => observer.unexpected(name, error));
      observer.listenerChanged(name, 'listening', boundTo);
      return boundTo;
    },
    drain(graceMs) {
      tell('draining');
      return new Promise((resolve) => {
        const force = clock.setTimer(() => {
          for (const session of sessions) session.destroy();
        }, graceMs);
        server.close(() => {
          force.cancel();
          tell('closed');
          resolve();
        });
        for (const session of sessions) session.close();
      });
    },
  };
}

/** Calls `whole` with the one message of the call, or refuses the call. */
function readMessage(
  stream: ServerHttp2Stream,
  maxBytes: number,
  whole: (message: Uint8Array) => void,
): void {
  let received: Buffer | undefined;
  let refused = false;
  stream.on('data', (chunk: Buffer) => {
    if (refused) return;
    received = received === undefined ? chunk : Buffer.concat([received, chunk]);
    // Not only the declared length: a second message may follow the first.
    if (received.length > FRAME_HEADER_BYTES + maxBytes || declaredLength(received) > maxBytes) {
      refused = true;
      refuse(stream, GrpcStatus.RESOURCE_EXHAUSTED, 'message too large');
    }
  });
  stream.once('end', () => {
    if (refused || stream.destroyed) return;
    if (received === undefined) {
      return refuse(stream, GrpcStatus.UNIMPLEMENTED, 'a unary call needs one message');
    }
    const end = FRAME_HEADER_BYTES + declaredLength(received);
    if (received.length < FRAME_HEADER_BYTES || received.length < end) {
      return refuse(stream, GrpcStatus.INTERNAL, 'incomplete message');
    }
    if (received[0] !== 0) return refuse(stream, GrpcStatus.INTERNAL, 'compressed without grpc-encoding');
    if (received.length > end) {
      return refuse(stream, GrpcStatus.UNIMPLEMENTED, 'a unary call has only one message');
    }
    whole(received.subarray(FRAME_HEADER_BYTES));
  });
}

function declaredLength(received: Buffer): number {
  return received.length < FRAME_HEADER_BYTES ? 0 : received.readUInt32BE(1);
}

function reply(stream: ServerHttp2Stream, answer: Uint8Array): void {
  if (stream.destroyed || stream.closed) return;
  stream.respond(OK_HEADERS, { waitForTrailers: true });
  stream.once('wantTrailers', () => stream.sendTrailers(OK_TRAILERS));
  stream.end(frameMessage(answer));
}

/** `message` is fixed text. */
function refuse(stream: ServerHttp2Stream, code: GrpcStatusCode, message: string): void {
  end(stream, { ...OK_HEADERS, 'grpc-status': String(code), 'grpc-message': encodeGrpcMessage(message) });
}

function refuseHttp(stream: ServerHttp2Stream, status: 405 | 415): void {
  end(stream, { ':status': status });
}

function end(stream: ServerHttp2Stream, headers: Record<string, string | number>): void {
  if (stream.destroyed || stream.closed) return;
  stream.respond(headers, { endStream: true });
  // RFC 9113, 8.1: after a whole answer the rest of the request is not wanted.
  if (!stream.readableEnded) {
    stream.resume();
    stream.close(constants.NGHTTP2_NO_ERROR);
  }
}
