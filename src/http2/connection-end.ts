// How a connection comes to its end: drained, failed or taken away. RFC 9113, sections 5.4.1 and 6.8.
import type { Duplex } from 'node:stream';
import type { Clock, Timer } from '../lib/clock.ts';
import { ErrorCode, type Http2Error } from './errors.ts';
import type { FrameWriter } from './frame-writer.ts';
import { Flag, FrameType, MAX_31_BITS } from './frames.ts';
import type { OpenStreams } from './open-streams.ts';

const DRAIN_PING = Buffer.from('draining', 'latin1');
/** For the peer to read a GOAWAY before the socket is taken from under it. */
const LINGER_MS = 1_000;

export interface ConnectionEndDeps {
  readonly socket: Duplex;
  readonly writer: FrameWriter;
  readonly streams: OpenStreams;
  readonly clock: Clock;
  readonly onFault: (fault: string) => void;
  /** Writes out what is gathered. */
  readonly flush: () => void;
  /** The socket is closed or about to be: no timer may fire any more. May be told twice. */
  readonly onOver: () => void;
  /** Once, when nothing of the connection is left. */
  readonly onClose: () => void;
}

export class ConnectionEnd {
  /** GOAWAY for a fault was sent, or the socket is gone: nothing is read any more. */
  over = false;
  readonly #deps: ConnectionEndDeps;
  #draining = false;
  #linger: Timer | undefined;
  #gone = false;

  constructor(deps: ConnectionEndDeps) {
    this.#deps = deps;
  }

  /** GOAWAY, then the streams that are open come to their end, then it closes. */
  drain(): void {
    if (this.over || this.#draining) return;
    this.#draining = true;
    const { writer, clock, flush } = this.#deps;
    // Section 6.8: first without a last stream, since requests may be on their way; the PING's answer comes after them.
    writer.numbers(FrameType.GOAWAY, 0, MAX_31_BITS, ErrorCode.NO_ERROR);
    writer.frame(FrameType.PING, Flag.NONE, 0, DRAIN_PING);
    this.#linger = clock.setTimer(() => this.#lastCall(), LINGER_MS);
    flush();
  }

  /** The peer has answered a PING. */
  pinged(payload: Buffer): void {
    if (this.#draining && DRAIN_PING.equals(payload)) this.#lastCall();
  }

  /** There is a stream less. */
  streamEnded(): void {
    if (this.#draining) this.#closeWhenDone();
  }

  /** GOAWAY with the error, then the end. */
  fail(error: Http2Error): void {
    const { writer, streams, onFault } = this.#deps;
    onFault(error.fault);
    writer.numbers(FrameType.GOAWAY, 0, streams.lastId, error.code);
    writer.flush();
    this.#end();
  }

  /** Now. */
  destroy(): void {
    this.#deps.socket.destroy();
    this.closed();
  }

  /** The socket has ended, or is gone. */
  closed(): void {
    const { socket, streams, onOver, onClose } = this.#deps;
    this.over = true;
    this.#linger?.cancel();
    onOver();
    streams.abandonAll();
    if (!socket.destroyed || this.#gone) return;
    this.#gone = true;
    onClose();
  }

  /** What is open now is answered, what comes from now on is refused. */
  #lastCall(): void {
    const { writer, streams, flush } = this.#deps;
    if (this.over || streams.acceptUpTo !== MAX_31_BITS) return;
    streams.acceptUpTo = streams.lastId;
    writer.numbers(FrameType.GOAWAY, 0, streams.lastId, ErrorCode.NO_ERROR);
    flush();
    this.#closeWhenDone();
  }

  #closeWhenDone(): void {
    const { streams, flush } = this.#deps;
    if (streams.acceptUpTo === MAX_31_BITS || streams.size > 0 || this.over) return;
    flush();
    this.#end();
  }

  /** The socket goes when the peer has read what is written, or has had the time to. */
  #end(): void {
    const { socket, streams, clock } = this.#deps;
    this.over = true;
    socket.end();
    this.#linger?.cancel();
    this.#linger = clock.setTimer(() => this.destroy(), LINGER_MS);
    streams.abandonAll();
  }
}
