// Unary calls on our own HTTP/2: the hot path of every Check. A message that comes in one frame is read where it lies, and
// an answer that is there at once costs no timer, no promise and no signal.
import type { Handler } from '../http2/service.ts';
import type { Stream } from '../http2/stream.ts';
import type { Clock, Timer } from '../lib/clock.ts';
import type { Observer } from '../telemetry/observer.ts';
import { GrpcError, GrpcStatus, type UnaryHandler } from './front.ts';
import { answer, refuse } from './grpc-answer.ts';
import { FRAME_HEADER_BYTES } from './grpc-wire.ts';
import { type BufferBudget, MessageReader } from './message-reader.ts';
import { createPendingCall, type PendingCall } from './pending-call.ts';

export interface CallDeps {
  readonly name: string;
  readonly observer: Observer;
  readonly clock: Clock;
  readonly maxMessageBytes: number;
  readonly budget: BufferBudget;
}

/** A call whose message is not whole yet. */
interface Unfinished {
  readonly reader: MessageReader;
  readonly openedAt: number | undefined;
}

/** A call that waits for its answer. */
interface Waiting {
  readonly call: PendingCall;
  readonly deadline: Timer | undefined;
  /** Monotonic; Infinity without a deadline. */
  readonly until: number;
}

/**
 * `context` of its streams: when they were opened (monotonic ms, where the caller has a deadline, else undefined), then
 * Unfinished or Waiting.
 */
export class UnaryCalls implements Handler {
  readonly #method: UnaryHandler;
  readonly #timeoutMs: number | undefined;
  readonly #deps: CallDeps;
  readonly #leftOpen: boolean;

  /** @param leftOpen the caller does not end its side: its first message is the whole question (exchanges). */
  constructor(method: UnaryHandler, timeoutMs: number | undefined, deps: CallDeps, leftOpen = false) {
    this.#method = method;
    this.#timeoutMs = timeoutMs;
    this.#deps = deps;
    this.#leftOpen = leftOpen;
  }

  open(stream: Stream, ended: boolean): void {
    if (ended) return refuse(stream, GrpcStatus.UNIMPLEMENTED, 'a unary call needs one message');
    if (this.#timeoutMs !== undefined) stream.context = this.#deps.clock.monotonic() | 0; // no allocation
  }

  data(stream: Stream, chunk: Buffer, start: number, end: number, ended: boolean): void {
    const complete = ended || this.#leftOpen;
    const isFirst = typeof stream.context !== 'object';
    if (complete && isFirst && isWhole(chunk, start, end, this.#deps.maxMessageBytes)) {
      return this.#call(stream, chunk.subarray(start + FRAME_HEADER_BYTES, end));
    }
    // The caller ends its side while it waits for the answer, or sends what nobody asked for.
    if (this.#leftOpen && !isFirst && !('reader' in (stream.context as object))) return;
    try {
      const message = this.#assemble(stream, chunk, start, end, ended);
      if (message !== undefined) this.#call(stream, message);
    } catch (error) {
      this.#release(stream);
      this.#fail(stream, error);
    }
  }

  cancelled(stream: Stream): boolean {
    const context = stream.context as number | undefined | Unfinished | Waiting;
    const now = this.#deps.clock.monotonic();
    if (typeof context === 'object' && 'call' in context) {
      stream.context = undefined;
      context.deadline?.cancel();
      context.call.abort();
      return now >= context.until;
    }
    this.#release(stream);
    const openedAt = typeof context === 'object' ? context.openedAt : context;
    return openedAt !== undefined && ((now - openedAt) | 0) >= this.#timeoutMs!;
  }

  #call(stream: Stream, message: Uint8Array): void {
    const call = createPendingCall(this.#timeoutMs);
    try {
      const result = this.#method(message, call);
      if (result instanceof Uint8Array) answer(stream, result);
      else this.#later(stream, call, result);
    } catch (error) {
      this.#fail(stream, error);
    }
  }

  #later(stream: Stream, call: PendingCall, result: Promise<Uint8Array>): void {
    const { clock } = this.#deps;
    const timeoutMs = this.#timeoutMs;
    const waiting: Waiting = {
      call,
      deadline:
        timeoutMs === undefined
          ? undefined
          : clock.setTimer(() => {
              stream.context = undefined;
              refuse(stream, GrpcStatus.DEADLINE_EXCEEDED, 'deadline exceeded');
              call.abort();
            }, timeoutMs),
      until: timeoutMs === undefined ? Number.POSITIVE_INFINITY : clock.monotonic() + timeoutMs,
    };
    stream.context = waiting;
    const end = (): boolean => {
      if (stream.context !== waiting) return false;
      stream.context = undefined;
      waiting.deadline?.cancel();
      return true;
    };
    result.then(
      (bytes) => end() && answer(stream, bytes),
      (error) => end() && this.#fail(stream, error),
    );
  }

  /** The message, once it is whole and the only one; undefined: more is to come. Throws GrpcError. */
  #assemble(
    stream: Stream,
    chunk: Buffer,
    start: number,
    end: number,
    ended: boolean,
  ): Uint8Array | undefined {
    const { maxMessageBytes, budget } = this.#deps;
    if (typeof stream.context !== 'object') {
      const openedAt = stream.context as number | undefined;
      stream.context = { reader: new MessageReader(maxMessageBytes, budget), openedAt } satisfies Unfinished;
    }
    const { reader } = stream.context as Unfinished;
    reader.push(chunk, start, end);
    if (this.#leftOpen && !ended) {
      const message = reader.next();
      if (message !== undefined) this.#release(stream);
      return message;
    }
    if (!ended) {
      reader.check();
      return undefined;
    }
    if (reader.pending === 0) {
      throw new GrpcError(GrpcStatus.UNIMPLEMENTED, 'a unary call needs one message');
    }
    const message = reader.next();
    if (message === undefined) throw new GrpcError(GrpcStatus.INTERNAL, 'incomplete message');
    if (reader.pending > 0) {
      throw new GrpcError(GrpcStatus.UNIMPLEMENTED, 'a unary call has only one message');
    }
    stream.context = undefined;
    return message;
  }

  #release(stream: Stream): void {
    if (typeof stream.context === 'object') (stream.context as Unfinished).reader.release();
    stream.context = undefined;
  }

  #fail(stream: Stream, error: unknown): void {
    if (error instanceof GrpcError) return refuse(stream, error.code, error.message);
    this.#deps.observer.unexpected(this.#deps.name, error);
    refuse(stream, GrpcStatus.INTERNAL, 'internal error');
  }
}

/** One uncompressed message, and nothing else. */
function isWhole(chunk: Buffer, start: number, end: number, maxBytes: number): boolean {
  const size = end - start - FRAME_HEADER_BYTES;
  return size >= 0 && size <= maxBytes && chunk[start] === 0 && chunk.readUInt32BE(start + 1) === size;
}
