// What stands above HTTP/2: told of requests, answers on their streams. It sees no frame and no window.
import type { RequestHead } from './request-head.ts';
import type { Stream } from './stream.ts';

export interface Service {
  /**
   * Who answers requests with this head. Called once per distinct header block and connection, not once per request: the
   * handler is kept with the block, so what it reads from the head it reads here.
   */
  route(head: RequestHead): Handler;
}

/** One for all requests with the same head; what belongs to one request stands in `stream.context`. */
export interface Handler {
  /** A request began. `ended`: it has no body. */
  open(stream: Stream, ended: boolean): void;
  /**
   * A part of the body: `chunk` from `start` to `end`, to be copied if it is needed after the call. `ended`: the last one,
   * which may be empty.
   */
  data(stream: Stream, chunk: Buffer, start: number, end: number, ended: boolean): void;
  /**
   * The peer reset the stream, or the connection ended, before our answer was whole. Returns true when the peer had a
   * good reason (its deadline had passed), so that the reset is not counted against it.
   */
  cancelled(stream: Stream): boolean;
}
