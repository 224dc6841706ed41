// What a stream server offers to the doors: typed messages both ways. Knows nothing of the gRPC library or of Envoy.
import type { GrpcStatusCode } from './front.ts';

/** One open bidirectional stream. Nothing throws: what comes too late is dropped. */
export interface MessageStream<Req, Res> {
  send(message: Res): void;
  /** Default status OK. `message` reaches the peer: only fixed strings. */
  end(code?: GrpcStatusCode, message?: string): void;
  onMessage(listener: (message: Req) => void): void;
  /** Called once, however the stream ended. */
  onEnd(listener: () => void): void;
}

/** Called for each new stream; sets its listeners before it returns. A throw ends the stream with INTERNAL. */
export type StreamHandler<Req, Res> = (stream: MessageStream<Req, Res>) => void;

/** A method with its codecs, its message types erased so that methods fit into one list. */
export interface StreamMethod {
  /** `:path`, e.g. `/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets`. */
  readonly path: string;
  /** Throws on malformed bytes. */
  readonly decode: (bytes: Uint8Array) => unknown;
  readonly encode: (message: unknown) => Uint8Array;
  readonly handle: StreamHandler<unknown, unknown>;
}

/** The part of a generated codec that is used here. */
interface Codec<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

export function streamMethod<Req, Res>(
  path: string,
  request: Codec<Req>,
  response: Codec<Res>,
  handle: StreamHandler<Req, Res>,
): StreamMethod {
  return {
    path,
    decode: (bytes) => request.decode(bytes),
    encode: (message) => response.encode(message as Res).finish(),
    handle: handle as StreamHandler<unknown, unknown>,
  };
}
