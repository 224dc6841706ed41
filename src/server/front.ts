// What a gRPC front offers to the doors: unary calls as bytes in, bytes out. It knows nothing of Envoy or tokens.
import type { ListenAddress } from '../lib/address.ts';

export interface UnaryCall {
  /** From grpc-timeout, milliseconds; undefined when the caller sent none. */
  readonly timeoutMs: number | undefined;
  /** Aborted when the caller gives up. Created on first use, so an immediate answer pays nothing for it. */
  readonly signal: AbortSignal;
}

/**
 * At once or by promise. `message` is valid only until the function returns, not until its promise settles: the next read
 * goes into the same bytes. A thrown GrpcError becomes its status; anything else becomes INTERNAL with a fixed text.
 */
export type UnaryHandler = (message: Uint8Array, call: UnaryCall) => Uint8Array | Promise<Uint8Array>;

/** Keyed by `:path`, e.g. `/envoy.service.auth.v3.Authorization/Check`. */
export type UnaryMethods = ReadonlyMap<string, UnaryHandler>;

/** Call metadata (initial_metadata of Envoy) by which a caller may say which side it means. */
export const SIDE_METADATA = 'x-bearerd-side';

/** Metadata of a call. */
export interface CallMetadata {
  get(name: string): string | undefined;
}

/** A bidirectional method of one message each way. Called once for all calls with the same metadata. */
export type Exchange = (metadata: CallMetadata) => UnaryHandler;

export const GrpcStatus = {
  OK: 0,
  CANCELLED: 1,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
} as const;

export type GrpcStatusCode = (typeof GrpcStatus)[keyof typeof GrpcStatus];

/** Ends a call with this status. `message` reaches the peer: only fixed strings. */
export class GrpcError extends Error {
  override readonly name = 'GrpcError';
  readonly code: GrpcStatusCode;

  constructor(code: GrpcStatusCode, message: string) {
    super(message);
    this.code = code;
  }
}

export interface Front {
  /** Listens; resolves with the bound address (`unix:///…` or `127.0.0.1:PORT`). */
  listen(address: ListenAddress): Promise<string>;
  /** GOAWAY, lets calls in flight end, then closes; forced after `graceMs`. */
  drain(graceMs: number): Promise<void>;
}
