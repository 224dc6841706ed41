// The streams of one connection, from their first frame to their last, and the window that they share for sending.
// RFC 9113, sections 5.1 and 5.2.
import { ErrorCode, Http2Error } from './errors.ts';
import type { Floods } from './floods.ts';
import type { FrameWriter } from './frame-writer.ts';
import { FrameType, MAX_31_BITS } from './frames.ts';
import type { KnownHead } from './head-cache.ts';
import type { Limits } from './limits.ts';
import type { PeerSettings } from './settings.ts';
import { Stream, type StreamOwner } from './stream.ts';
import { StreamHistory } from './stream-history.ts';

export const DEFAULT_WINDOW_BYTES = 65_535;

export interface OpenStreamsDeps {
  readonly writer: FrameWriter;
  readonly peer: PeerSettings;
  readonly limits: Limits;
  readonly floods: Floods;
  readonly onFault: (fault: string) => void;
  /** Something was written for a stream. */
  readonly onWritten: () => void;
  /** One stream less. */
  readonly onEnded: () => void;
}

export class OpenStreams implements StreamOwner {
  readonly writer: FrameWriter;
  sendWindow = DEFAULT_WINDOW_BYTES;
  /** Answers that wait for a window, bytes. */
  waitingBytes = 0;
  /** Newer ones are refused: they came after our GOAWAY. */
  acceptUpTo = MAX_31_BITS;
  #lastId = 0;
  readonly #deps: OpenStreamsDeps;
  /** Kept beside the others: a unary call comes and goes as the newest, and touches no map. */
  #newest: Stream | undefined;
  readonly #open = new Map<number, Stream>();
  readonly #history = new StreamHistory();
  /** Streams that have something to send and wait for the window of the connection. */
  readonly #blocked = new Set<Stream>();

  constructor(deps: OpenStreamsDeps) {
    this.#deps = deps;
    this.writer = deps.writer;
  }

  get size(): number {
    return this.#open.size + (this.#newest === undefined ? 0 : 1);
  }

  /** The newest identifier that the peer has used. */
  get lastId(): number {
    return this.#lastId;
  }

  /** Undefined: closed. Throws Http2Error for one that is idle, or that no client may use. */
  get(id: number): Stream | undefined {
    if (this.#newest?.id === id) return this.#newest;
    const stream = this.#open.get(id);
    if (stream === undefined && (id === 0 || (id & 1) === 0 || id > this.#lastId)) {
      throw new Http2Error(ErrorCode.PROTOCOL_ERROR, 'a frame for a stream that is idle, or for none');
    }
    return stream;
  }

  /** A new stream; undefined when it was refused, which the peer is told. */
  create(id: number, head: KnownHead): Stream | undefined {
    const { peer, limits, onFault } = this.#deps;
    if (id > this.acceptUpTo || this.size >= limits.maxStreams) {
      if (id <= this.acceptUpTo) onFault('too_many_streams');
      this.refuse(id, ErrorCode.REFUSED_STREAM);
      return undefined;
    }
    this.#history.opened(id, this.#lastId);
    this.#lastId = id;
    const stream = new Stream(
      this,
      id,
      head.handler,
      peer.initialWindowBytes,
      limits.streamWindowBytes,
      head.contentLength,
    );
    if (this.#newest !== undefined) this.#open.set(this.#newest.id, this.#newest);
    this.#newest = stream;
    return stream;
  }

  #remove(stream: Stream): void {
    if (this.#newest === stream) this.#newest = undefined;
    else this.#open.delete(stream.id);
  }

  #all(): Stream[] {
    return this.#newest === undefined ? [...this.#open.values()] : [...this.#open.values(), this.#newest];
  }

  /** A stream that never comes to be. */
  refuse(id: number, code: ErrorCode): void {
    this.#history.opened(id, this.#lastId);
    this.#lastId = id;
    this.#history.reset(id, 'us');
    this.writer.numbers(FrameType.RST_STREAM, id, code);
    this.#deps.floods.streamError();
  }

  /** A stream error: the handler hears of it as of a reset by the peer. */
  reset(stream: Stream, code: ErrorCode): void {
    stream.reset(code);
    this.#history.reset(stream.id, 'us');
    stream.handler.cancelled(stream);
    this.#deps.floods.streamError();
  }

  resetByPeer(stream: Stream): void {
    this.#remove(stream);
    this.#history.reset(stream.id, 'peer');
    stream.abandon();
    // Not when the answer was on its way or the deadline had passed: Envoy resets streams in both cases all day long.
    if (!stream.handler.cancelled(stream)) this.#deps.floods.reset();
    this.#deps.onEnded();
  }

  /** A DATA frame for a stream that has ended. */
  dataAfterEnd(id: number): void {
    if (this.#history.resetBy(id) === 'us') return; // was on its way
    this.writer.numbers(FrameType.RST_STREAM, id, ErrorCode.STREAM_CLOSED);
    this.#deps.floods.streamError();
  }

  /** HEADERS for a stream that has ended. Throws Http2Error where the peer cannot have missed it. */
  headersAfterEnd(id: number): void {
    if (this.#history.resetBy(id) !== undefined) return this.dataAfterEnd(id);
    if (this.#history.wasSkipped(id)) {
      throw new Http2Error(ErrorCode.PROTOCOL_ERROR, 'stream identifiers must grow'); // section 5.1.1
    }
    throw new Http2Error(ErrorCode.STREAM_CLOSED, 'HEADERS on a closed stream');
  }

  /** WINDOW_UPDATE of a stream, or of the connection with id 0. Throws Http2Error. */
  windowUpdate(id: number, increment: number): void {
    if (id === 0) {
      if (increment === 0) throw new Http2Error(ErrorCode.PROTOCOL_ERROR, 'WINDOW_UPDATE of 0');
      return this.#grow(increment);
    }
    const stream = this.get(id);
    if (stream === undefined) return;
    if (increment === 0) return this.reset(stream, ErrorCode.PROTOCOL_ERROR);
    stream.sendWindow += increment;
    if (stream.sendWindow > MAX_31_BITS) return this.reset(stream, ErrorCode.FLOW_CONTROL_ERROR);
    stream.drain();
  }

  /** PRIORITY, which counts only for its errors; `dependsOn` undefined = it has the wrong size. Throws Http2Error. */
  priority(id: number, dependsOn: number | undefined): void {
    if (dependsOn !== undefined && dependsOn !== id) return;
    const code = dependsOn === undefined ? ErrorCode.FRAME_SIZE_ERROR : ErrorCode.PROTOCOL_ERROR;
    // Section 6.4: a stream that is idle cannot be reset.
    if (id > this.#lastId) throw new Http2Error(code, 'PRIORITY with an error on an idle stream');
    const stream = this.get(id);
    if (stream !== undefined) this.reset(stream, code);
    else this.writer.numbers(FrameType.RST_STREAM, id, code);
  }

  #grow(increment: number): void {
    this.sendWindow += increment;
    if (this.sendWindow > MAX_31_BITS) throw windowOverflow();
    for (const stream of this.#blocked) {
      if (this.sendWindow <= 0) return;
      this.#blocked.delete(stream);
      stream.drain();
    }
  }

  /** Section 6.9.2: a new initial window holds for the streams that are open, and may take theirs below zero. */
  changeWindows(change: number): void {
    for (const stream of this.#all()) {
      stream.sendWindow += change;
      if (stream.sendWindow > MAX_31_BITS) throw windowOverflow();
      if (change > 0) stream.drain();
    }
  }

  /** The connection is over. */
  abandonAll(): void {
    const open = this.#all();
    this.#newest = undefined;
    this.#open.clear();
    this.#blocked.clear();
    for (const stream of open) {
      stream.abandon();
      stream.handler.cancelled(stream);
    }
  }

  // ---- told by the streams ----

  get maxFrameBytes(): number {
    return this.#deps.peer.maxFrameBytes;
  }

  queued(bytes: number): void {
    this.waitingBytes += bytes;
  }

  blocked(stream: Stream): void {
    this.#blocked.add(stream);
  }

  ended(stream: Stream): void {
    this.#remove(stream);
    if (this.#blocked.size > 0) this.#blocked.delete(stream);
    if (!stream.remoteEnded) this.#history.reset(stream.id, 'us');
    this.#deps.onEnded();
  }

  written(): void {
    this.#deps.onWritten();
  }
}

function windowOverflow(): Http2Error {
  return new Http2Error(ErrorCode.FLOW_CONTROL_ERROR, 'a window above 2^31-1');
}
