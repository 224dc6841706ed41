// One request and its answer. What cannot be sent for want of a window waits here. RFC 9113, sections 5.1 and 5.2.
import { ErrorCode } from './errors.ts';
import type { FrameWriter } from './frame-writer.ts';
import { Flag, FrameType } from './frames.ts';
import type { Handler } from './service.ts';

/** What a stream needs of its connection. */
export interface StreamOwner {
  readonly writer: FrameWriter;
  /** What we may still send on the connection. */
  sendWindow: number;
  /** Of the peer. */
  readonly maxFrameBytes: number;
  /** So many bytes more wait for a window, or fewer. */
  queued(bytes: number): void;
  /** The stream waits for the window of the connection. */
  blocked(stream: Stream): void;
  /** Our side is done. */
  ended(stream: Stream): void;
  /** Everything written goes out at the end of this turn, if nobody else sees to it. */
  written(): void;
}

const NOTHING = new Uint8Array();

export class Stream {
  readonly id: number;
  readonly handler: Handler;
  /** Of the handler. */
  context: unknown = undefined;
  /** What we may still send on this stream; below 0 after the peer made its windows smaller. */
  sendWindow: number;
  /** What the peer may still send. */
  receiveWindow: number;
  /** Bytes of the body that are still to come, by content-length; -1 = unknown. */
  missing: number;
  /** The peer sent END_STREAM. */
  remoteEnded = false;
  /** We sent END_STREAM or a reset, or were reset: nothing more goes out. */
  closed = false;
  readonly #owner: StreamOwner;
  #queue: Uint8Array[] | undefined;
  /** END_STREAM follows the queue: with these trailers, or an empty DATA frame. */
  #ending: Uint8Array | undefined;

  constructor(
    owner: StreamOwner,
    id: number,
    handler: Handler,
    sendWindow: number,
    receiveWindow: number,
    contentLength: number,
  ) {
    this.#owner = owner;
    this.id = id;
    this.handler = handler;
    this.sendWindow = sendWindow;
    this.receiveWindow = receiveWindow;
    this.missing = contentLength;
  }

  /** A whole answer. `lead` and `body` are the two parts of its body; blocks come from encodeHeaders. */
  respond(head: Uint8Array, lead: Uint8Array, body: Uint8Array, trailers: Uint8Array): void {
    if (this.closed) return;
    const owner = this.#owner;
    const size = lead.length + body.length;
    if (size <= this.sendWindow && size <= owner.sendWindow && size <= owner.maxFrameBytes) {
      this.sendWindow -= size;
      owner.sendWindow -= size;
      owner.writer.answer(this.id, head, lead, body, trailers);
      this.#end();
      return;
    }
    this.sendHead(head);
    // Copies: the caller writes the next lead into the same bytes, and the body may lie in the buffer of the next read.
    this.sendData(Uint8Array.from(lead));
    this.sendData(Uint8Array.from(body));
    this.end(trailers);
  }

  /** An answer without a body. */
  respondHead(head: Uint8Array): void {
    if (this.closed) return;
    const flags = Flag.END_HEADERS | Flag.END_STREAM;
    this.#owner.writer.frame(FrameType.HEADERS, flags, this.id, head);
    this.#end();
  }

  sendHead(head: Uint8Array): void {
    if (this.closed) return;
    this.#owner.writer.frame(FrameType.HEADERS, Flag.END_HEADERS, this.id, head);
    this.#owner.written();
  }

  /** Kept as it is until it is sent: the caller must not change it. */
  sendData(bytes: Uint8Array): void {
    if (this.closed || bytes.length === 0) return;
    this.#queue ??= [];
    this.#queue.push(bytes);
    this.#owner.queued(bytes.length);
    this.drain();
    this.#owner.written();
  }

  /** The end of our side, with trailers or without. */
  end(trailers: Uint8Array = NOTHING): void {
    if (this.closed) return;
    this.#ending = trailers;
    this.drain();
  }

  reset(code: ErrorCode): void {
    if (this.closed) return;
    this.#owner.writer.numbers(FrameType.RST_STREAM, this.id, code);
    this.remoteEnded = true; // one reset is enough
    this.#end();
  }

  /** Nothing more goes out: the peer reset the stream, or the connection is gone. */
  abandon(): void {
    this.closed = true;
    this.#drop();
  }

  /** Sends what the windows allow. Called when one of them has grown. */
  drain(): void {
    const owner = this.#owner;
    while (this.#queue !== undefined && this.#queue.length > 0) {
      const first = this.#queue[0]!;
      const size = Math.min(first.length, owner.maxFrameBytes, this.sendWindow, owner.sendWindow);
      if (size <= 0) {
        if (owner.sendWindow <= 0) owner.blocked(this);
        return;
      }
      owner.writer.frame(FrameType.DATA, Flag.NONE, this.id, first.subarray(0, size));
      this.sendWindow -= size;
      owner.sendWindow -= size;
      owner.queued(-size);
      if (size === first.length) this.#queue.shift();
      else this.#queue[0] = first.subarray(size);
    }
    if (this.#ending === undefined || this.closed) return;
    if (this.#ending.length === 0) owner.writer.frame(FrameType.DATA, Flag.END_STREAM, this.id, NOTHING);
    else {
      const flags = Flag.END_HEADERS | Flag.END_STREAM;
      owner.writer.frame(FrameType.HEADERS, flags, this.id, this.#ending);
    }
    this.#end();
  }

  #end(): void {
    this.closed = true;
    this.#drop();
    // Section 8.1: after a whole answer the rest of the request is not wanted.
    if (!this.remoteEnded) {
      this.#owner.writer.numbers(FrameType.RST_STREAM, this.id, ErrorCode.NO_ERROR);
    }
    this.#owner.ended(this);
    this.#owner.written();
  }

  #drop(): void {
    if (this.#queue === undefined) return;
    this.#owner.queued(-this.#queue.reduce((sum, { length }) => sum + length, 0));
    this.#queue = undefined;
  }
}
