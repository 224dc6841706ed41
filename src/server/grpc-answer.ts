// The ends of a gRPC call on our own HTTP/2: header blocks encoded in advance. "gRPC over HTTP/2".
import { encodeHeaders } from '../http2/hpack/encode.ts';
import type { Stream } from '../http2/stream.ts';
import { GrpcStatus, type GrpcStatusCode } from './front.ts';
import { encodeGrpcMessage, FRAME_HEADER_BYTES } from './grpc-wire.ts';

const OK = [
  [':status', '200'],
  ['content-type', 'application/grpc'],
] as const;

export const HEAD: Uint8Array = encodeHeaders(OK);
const OK_TRAILERS = encodeHeaders([['grpc-status', String(GrpcStatus.OK)]]);

// Written anew for each answer, into which it is copied at once.
const lead = Buffer.alloc(FRAME_HEADER_BYTES);

/** The one message of a unary call, and status OK. */
export function answer(stream: Stream, message: Uint8Array): void {
  const { length } = message;
  lead[1] = length >>> 24;
  lead[2] = length >>> 16;
  lead[3] = length >>> 8;
  lead[4] = length;
  stream.respond(HEAD, lead, message, OK_TRAILERS);
}

/** A status without any message. `message` reaches the peer: only fixed text. */
export function refuse(stream: Stream, code: GrpcStatusCode, message: string): void {
  stream.respondHead(encodeHeaders([...OK, ...status(code, message)]));
}

/** The status after messages were sent. */
export function trailers(code: GrpcStatusCode, message: string): Uint8Array {
  return code === GrpcStatus.OK ? OK_TRAILERS : encodeHeaders(status(code, message));
}

function status(code: GrpcStatusCode, message: string): (readonly [string, string])[] {
  const fields: (readonly [string, string])[] = [['grpc-status', String(code)]];
  if (message !== '') fields.push(['grpc-message', encodeGrpcMessage(message)]);
  return fields;
}
