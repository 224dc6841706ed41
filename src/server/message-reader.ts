// Messages out of DATA frames that cut them anywhere. "gRPC over HTTP/2", Length-Prefixed-Message.
import { GrpcError, GrpcStatus } from './front.ts';
import { FRAME_HEADER_BYTES } from './grpc-wire.ts';

/** Bytes of messages that are not whole yet, over all calls of a front: a thousand callers may each stop in the middle. */
export class BufferBudget {
  #left: number;

  constructor(maxBytes: number) {
    this.#left = maxBytes;
  }

  take(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  give(bytes: number): void {
    this.#left += bytes;
  }
}

export class MessageReader {
  readonly #maxMessageBytes: number;
  readonly #budget: BufferBudget;
  #parts: Buffer[] = [];
  #length = 0;

  constructor(maxMessageBytes: number, budget: BufferBudget) {
    this.#maxMessageBytes = maxMessageBytes;
    this.#budget = budget;
  }

  /** Bytes that belong to no whole message. */
  get pending(): number {
    return this.#length;
  }

  /** Takes a copy. Throws GrpcError RESOURCE_EXHAUSTED. */
  push(chunk: Buffer, start: number, end: number): void {
    const size = end - start;
    if (!this.#budget.take(size)) {
      throw new GrpcError(GrpcStatus.RESOURCE_EXHAUSTED, 'too many unfinished messages');
    }
    this.#parts.push(Buffer.from(chunk.subarray(start, end)));
    this.#length += size;
  }

  /** Throws GrpcError RESOURCE_EXHAUSTED when there are more bytes than one message of the allowed size can have. */
  check(): void {
    const head = this.#length < FRAME_HEADER_BYTES ? undefined : this.#gather(FRAME_HEADER_BYTES);
    const tooLong = this.#length > FRAME_HEADER_BYTES + this.#maxMessageBytes;
    if (tooLong || (head !== undefined && head.readUInt32BE(1) > this.#maxMessageBytes)) {
      throw new GrpcError(GrpcStatus.RESOURCE_EXHAUSTED, 'message too large');
    }
  }

  /**
   * The next whole message; undefined: more bytes are needed. Throws GrpcError RESOURCE_EXHAUSTED as soon as the length is
   * known to be too large, and INTERNAL for a compressed one.
   */
  next(): Buffer | undefined {
    if (this.#length < FRAME_HEADER_BYTES) return undefined;
    const head = this.#gather(FRAME_HEADER_BYTES);
    const size = head.readUInt32BE(1);
    if (size > this.#maxMessageBytes) {
      throw new GrpcError(GrpcStatus.RESOURCE_EXHAUSTED, 'message too large');
    }
    const whole = FRAME_HEADER_BYTES + size;
    if (this.#length < whole) return undefined;
    if (head[0] !== 0) throw new GrpcError(GrpcStatus.INTERNAL, 'compressed without grpc-encoding');
    const bytes = this.#gather(whole);
    const rest = bytes.subarray(whole);
    this.#parts = rest.length > 0 ? [rest] : [];
    this.#length -= whole;
    this.#budget.give(whole);
    return bytes.subarray(FRAME_HEADER_BYTES, whole);
  }

  release(): void {
    this.#budget.give(this.#length);
    this.#parts = [];
    this.#length = 0;
  }

  /** The first part, made at least `bytes` long. */
  #gather(bytes: number): Buffer {
    if (this.#parts[0]!.length < bytes) this.#parts = [Buffer.concat(this.#parts)];
    return this.#parts[0]!;
  }
}
