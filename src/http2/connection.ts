// The server's side of one HTTP/2 connection, over any duplex stream. RFC 9113.
// Everything that one read brings is worked off in the same turn, and all answers to it go out in one write.
import type { Duplex } from 'node:stream';
import type { Clock, Timer } from '../lib/clock.ts';
import { ErrorCode, Http2Error } from './errors.ts';
import { Floods } from './floods.ts';
import { FrameReader, type FrameSink } from './frame-reader.ts';
import { FrameWriter } from './frame-writer.ts';
import { Flag, FrameType, MAX_31_BITS } from './frames.ts';
import { HeadCache, type KnownHead } from './head-cache.ts';
import { HeaderAssembly } from './header-assembly.ts';
import { HpackDecoder } from './hpack/decoder.ts';
import { encodeHeaders } from './hpack/encode.ts';
import { Keepalive } from './keepalive.ts';
import type { Limits } from './limits.ts';
import { areTrailers, parseRequestHead } from './request-head.ts';
import type { Service } from './service.ts';
import { encodeSettings, PeerSettings } from './settings.ts';
import { Stream, type StreamOwner } from './stream.ts';
import { StreamHistory } from './stream-history.ts';

export interface ConnectionOptions {
  readonly limits: Limits;
  readonly clock: Clock;
  /** [0, 1), for the age's jitter. */
  readonly random: () => number;
  /** The peer broke a limit or the protocol; `fault` is of a closed set of words. */
  readonly onFault: (fault: string) => void;
  /** Once, when nothing of the connection is left. */
  readonly onClose: () => void;
}

export interface Connection {
  /** GOAWAY, then the streams that are open come to their end, then it closes. */
  drain(): void;
  /** Now. */
  destroy(): void;
}

export function createConnection(socket: Duplex, service: Service, options: ConnectionOptions): Connection {
  return new ServerConnection(socket, service, options);
}

const HEADER_TABLE_BYTES = 4_096; // the default, about which nothing needs to be said
const DEFAULT_WINDOW_BYTES = 65_535;
const NO_BYTES = Buffer.alloc(0);
const DRAIN_PING = Buffer.from('draining', 'latin1');
const KEEPALIVE_PING = Buffer.from('are you?', 'latin1');
const HEADERS_TOO_LARGE = encodeHeaders([[':status', '431']]);
/** For the peer to read a GOAWAY before the socket is taken from under it. */
const LINGER_MS = 1_000;

class ServerConnection implements Connection, StreamOwner, FrameSink {
  readonly writer: FrameWriter;
  sendWindow = DEFAULT_WINDOW_BYTES;

  readonly #socket: Duplex;
  readonly #service: Service;
  readonly #options: ConnectionOptions;
  readonly #limits: Limits;
  readonly #peer = new PeerSettings();
  readonly #hpack = new HpackDecoder(HEADER_TABLE_BYTES);
  readonly #reader = new FrameReader();
  readonly #assembly: HeaderAssembly;
  readonly #heads = new HeadCache();
  readonly #floods: Floods;
  readonly #keepalive: Keepalive;

  readonly #streams = new Map<number, Stream>();
  readonly #history = new StreamHistory();
  /** Streams that wait for a window. */
  readonly #blocked = new Set<Stream>();
  #lastId = 0;
  /** Streams above it came after our GOAWAY. */
  #acceptUpTo = MAX_31_BITS;

  #settled = false;
  #receiveWindow: number;
  #waitingBytes = 0;

  #reading = false;
  #flushPlanned = false;
  #heard = false;
  #draining = false;
  /** GOAWAY for a fault was sent, or the socket is gone. */
  #over = false;
  #linger: Timer | undefined;

  constructor(socket: Duplex, service: Service, options: ConnectionOptions) {
    const { limits, clock } = options;
    this.#socket = socket;
    this.#service = service;
    this.#options = options;
    this.#limits = limits;
    this.#receiveWindow = limits.connectionWindowBytes;
    this.writer = new FrameWriter(socket);
    this.#assembly = new HeaderAssembly(limits);
    this.#floods = new Floods(limits, clock);
    this.#keepalive = new Keepalive(
      {
        heard: () => {
          const heard = this.#heard;
          this.#heard = false;
          return heard;
        },
        busy: () => this.#streams.size > 0,
        ping: () => {
          this.writer.frame(FrameType.PING, Flag.NONE, 0, KEEPALIVE_PING);
          this.#flush();
        },
        drain: () => this.drain(),
        expire: (fault) => {
          options.onFault(fault);
          this.destroy();
        },
      },
      limits,
      clock,
      options.random,
    );
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('error', () => {}); // 'close' follows
    socket.once('end', () => this.#closed());
    socket.once('close', () => this.#closed());
    this.writer.frame(FrameType.SETTINGS, Flag.NONE, 0, encodeSettings(limits));
    this.writer.numbers(FrameType.WINDOW_UPDATE, 0, limits.connectionWindowBytes - DEFAULT_WINDOW_BYTES);
    this.#flush();
  }

  // ---- of the streams ----

  get maxFrameBytes(): number {
    return this.#peer.maxFrameBytes;
  }

  queued(stream: Stream, waiting: number): void {
    this.#waitingBytes += waiting;
    if (waiting > 0) this.#blocked.add(stream);
  }

  ended(stream: Stream): void {
    this.#streams.delete(stream.id);
    if (this.#blocked.size > 0) this.#blocked.delete(stream);
    if (!stream.remoteEnded) this.#history.reset(stream.id, 'us');
    if (this.#draining) this.#closeWhenDone();
  }

  written(): void {
    if (this.#reading || this.#flushPlanned) return;
    this.#flushPlanned = true;
    // After all promises of this turn: a thousand calls that waited for one token are answered in one write.
    process.nextTick(() => {
      this.#flushPlanned = false;
      this.#flush();
    });
  }

  // ---- ends ----

  drain(): void {
    if (this.#over || this.#draining) return;
    this.#draining = true;
    // Section 6.8: first without a last stream, since requests may be on their way; the PING's answer comes after them.
    this.writer.numbers(FrameType.GOAWAY, 0, MAX_31_BITS, ErrorCode.NO_ERROR);
    this.writer.frame(FrameType.PING, Flag.NONE, 0, DRAIN_PING);
    this.#linger = this.#options.clock.setTimer(() => this.#lastCall(), LINGER_MS);
    this.#flush();
  }

  destroy(): void {
    this.#socket.destroy();
    this.#closed();
  }

  /** What is open now is answered, what comes from now on is refused. */
  #lastCall(): void {
    if (this.#over || this.#acceptUpTo !== MAX_31_BITS) return;
    this.#acceptUpTo = this.#lastId;
    this.writer.numbers(FrameType.GOAWAY, 0, this.#lastId, ErrorCode.NO_ERROR);
    this.#flush();
    this.#closeWhenDone();
  }

  #closeWhenDone(): void {
    if (this.#acceptUpTo === MAX_31_BITS || this.#streams.size > 0 || this.#over) return;
    this.#flush();
    this.#end();
  }

  #fail(error: Http2Error): void {
    this.#options.onFault(error.fault);
    this.writer.numbers(FrameType.GOAWAY, 0, this.#lastId, error.code);
    this.writer.flush();
    this.#end();
  }

  /** The socket goes when the peer has read what is written, or has had the time to. */
  #end(): void {
    this.#over = true;
    this.#socket.end();
    this.#linger?.cancel();
    this.#linger = this.#options.clock.setTimer(() => this.destroy(), LINGER_MS);
    this.#abandonAll();
  }

  #closed(): void {
    this.#over = true;
    this.#linger?.cancel();
    this.#keepalive.stop();
    this.#abandonAll();
    if (this.#socket.destroyed && !this.#gone) {
      this.#gone = true;
      this.#options.onClose();
    }
  }
  #gone = false;

  #abandonAll(): void {
    const open = [...this.#streams.values()];
    this.#streams.clear();
    this.#blocked.clear();
    for (const stream of open) {
      stream.abandon();
      stream.handler.cancelled(stream);
    }
  }

  #flush(): void {
    this.writer.flush();
    if (this.#socket.writableLength + this.#waitingBytes > this.#limits.maxOutputBytes && !this.#over) {
      this.#options.onFault('slow_reader');
      this.destroy();
    }
  }

  // ---- reading ----

  #read(chunk: Buffer): void {
    if (this.#over) return;
    this.#heard = true;
    this.#reading = true;
    try {
      this.#reader.read(chunk, this);
    } catch (error) {
      if (!(error instanceof Http2Error)) {
        this.destroy();
        throw error;
      }
      this.#fail(error);
    } finally {
      this.#reading = false;
    }
    this.#flush();
  }

  get over(): boolean {
    return this.#over;
  }

  frame(type: number, flags: number, id: number, data: Buffer, start: number, end: number): void {
    if (!this.#settled && type !== FrameType.SETTINGS) {
      throw new Http2Error(ErrorCode.PROTOCOL_ERROR, 'the first frame is not SETTINGS', 'bad_preface');
    }
    this.#assembly.expect(type, id);
    switch (type) {
      case FrameType.DATA:
        return this.#data(flags, id, data, start, end);
      case FrameType.HEADERS:
        return this.#headers(flags, id, data, start, end);
      case FrameType.CONTINUATION:
        return this.#continuation(flags, data, start, end);
      case FrameType.PRIORITY:
        return this.#priority(id, data, start, end);
      case FrameType.RST_STREAM:
        return this.#rstStream(id, end - start);
      case FrameType.SETTINGS:
        return this.#applySettings(flags, id, data, start, end);
      case FrameType.PING:
        return this.#ping(flags, id, data, start, end);
      case FrameType.GOAWAY:
        onConnection(id);
        if (end - start < 8) throw wrongSize();
        return; // its streams go on; a peer that leaves closes the socket itself
      case FrameType.WINDOW_UPDATE:
        return this.#windowUpdate(id, data, start, end);
      case FrameType.PUSH_PROMISE:
        throw new Http2Error(ErrorCode.PROTOCOL_ERROR, 'PUSH_PROMISE from a client');
      default: // section 4.1: an unknown one is ignored
        if (end === start) this.#floods.empty();
    }
  }

  // ---- DATA, section 6.1 ----

  #data(flags: number, id: number, data: Buffer, start: number, end: number): void {
    const size = end - start;
    const stream = this.#streams.get(id);
    if (stream === undefined) this.#notIdle(id);
    const bodyEnd = (flags & Flag.PADDED) === 0 ? end : end - padding(data, start, end);
    const bodyStart = (flags & Flag.PADDED) === 0 ? start : start + 1;

    this.#receiveWindow -= size;
    if (this.#receiveWindow < 0) {
      throw new Http2Error(ErrorCode.FLOW_CONTROL_ERROR, 'DATA beyond the window of the connection');
    }
    // Given back at once: what is kept of it is bounded by whoever keeps it, and a window held for messages that are not
    // whole would stop all of them for good.
    const { connectionWindowBytes, streamWindowBytes } = this.#limits;
    if (this.#receiveWindow < connectionWindowBytes >> 1) {
      this.writer.numbers(FrameType.WINDOW_UPDATE, 0, connectionWindowBytes - this.#receiveWindow);
      this.#receiveWindow = connectionWindowBytes;
    }
    if (stream === undefined) return this.#onClosed(id);
    if (stream.remoteEnded) return this.#resetFor(stream, ErrorCode.STREAM_CLOSED);

    stream.receiveWindow -= size;
    if (stream.receiveWindow < 0) return this.#resetFor(stream, ErrorCode.FLOW_CONTROL_ERROR);
    const ended = (flags & Flag.END_STREAM) !== 0;
    if (!ended) {
      if (bodyStart === bodyEnd) this.#floods.empty();
      if (stream.receiveWindow < streamWindowBytes >> 1) {
        this.writer.numbers(FrameType.WINDOW_UPDATE, id, streamWindowBytes - stream.receiveWindow);
        stream.receiveWindow = streamWindowBytes;
      }
    }
    if (stream.missing !== -1) {
      stream.missing -= bodyEnd - bodyStart;
      if (stream.missing < 0 || (ended && stream.missing !== 0)) {
        return this.#resetFor(stream, ErrorCode.PROTOCOL_ERROR); // section 8.1.1: content-length
      }
    }
    stream.remoteEnded = ended;
    stream.handler.data(stream, data, bodyStart, bodyEnd, ended);
  }

  // ---- HEADERS and CONTINUATION, sections 6.2 and 6.10 ----

  #headers(flags: number, id: number, data: Buffer, start: number, end: number): void {
    if ((id & 1) === 0) throw new Http2Error(ErrorCode.PROTOCOL_ERROR, 'stream identifier of a server');
    let blockEnd = end;
    let blockStart = start;
    if ((flags & Flag.PADDED) !== 0) {
      blockEnd -= padding(data, start, end);
      blockStart++;
    }
    let dependsOn = -1;
    if ((flags & Flag.PRIORITY) !== 0) {
      if (blockEnd - blockStart < 5) throw wrongSize();
      dependsOn = data.readUInt32BE(blockStart) & MAX_31_BITS;
      blockStart += 5;
    }
    const ended = (flags & Flag.END_STREAM) !== 0;
    if ((flags & Flag.END_HEADERS) !== 0) {
      this.#headerBlock(id, ended, dependsOn, data, blockStart, blockEnd);
      return;
    }
    this.#assembly.begin({ id, ended, dependsOn }, data.subarray(blockStart, blockEnd));
  }

  #continuation(flags: number, data: Buffer, start: number, end: number): void {
    this.#assembly.add(data.subarray(start, end));
    if ((flags & Flag.END_HEADERS) === 0) return;
    const {
      start: { id, ended, dependsOn },
      block,
    } = this.#assembly.end();
    this.#headerBlock(id, ended, dependsOn, block, 0, block.length);
  }

  #headerBlock(
    id: number,
    ended: boolean,
    dependsOn: number,
    data: Buffer,
    start: number,
    end: number,
  ): void {
    if (id > this.#lastId && dependsOn !== id) {
      const known = this.#heads.find(data, start, end);
      if (known !== undefined) return this.#open(id, ended, known);
    }
    const block = data.subarray(start, end);
    const decoded = this.#hpack.decode(block, this.#limits.maxHeaderListBytes);
    if (!decoded.unchanged) this.#heads.clear();
    if (id <= this.#lastId) return this.#trailers(id, ended, decoded.fields);
    if (dependsOn === id) return this.#refuse(id, ErrorCode.PROTOCOL_ERROR); // section 5.3.1 of RFC 7540
    if (decoded.tooLarge) {
      const stream = this.#create(id, { handler: TOO_LARGE, contentLength: -1 });
      if (stream === undefined) return;
      stream.remoteEnded = ended;
      this.#options.onFault('header_list_too_large');
      return stream.respondHead(HEADERS_TOO_LARGE);
    }
    const head = parseRequestHead(decoded.fields);
    if (head === undefined) return this.#refuse(id, ErrorCode.PROTOCOL_ERROR);
    const known = { handler: this.#service.route(head), contentLength: head.contentLength };
    if (decoded.unchanged) this.#heads.keep(block, known);
    this.#open(id, ended, known);
  }

  #open(id: number, ended: boolean, head: KnownHead): void {
    const stream = this.#create(id, head);
    if (stream === undefined) return;
    stream.remoteEnded = ended;
    if (ended && head.contentLength > 0) return this.#resetFor(stream, ErrorCode.PROTOCOL_ERROR);
    head.handler.open(stream, ended);
  }

  /** Undefined: refused, and the peer knows. */
  #create(id: number, head: KnownHead): Stream | undefined {
    if (id > this.#acceptUpTo || this.#streams.size >= this.#limits.maxStreams) {
      this.#refuse(id, ErrorCode.REFUSED_STREAM);
      if (id <= this.#acceptUpTo) this.#options.onFault('too_many_streams');
      return undefined;
    }
    this.#history.opened(id, this.#lastId);
    this.#lastId = id;
    const stream = new Stream(
      this,
      id,
      head.handler,
      this.#peer.initialWindowBytes,
      this.#limits.streamWindowBytes,
      head.contentLength,
    );
    this.#streams.set(id, stream);
    return stream;
  }

  #trailers(id: number, ended: boolean, fields: Parameters<typeof areTrailers>[0]): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      const resetBy = this.#history.resetBy(id);
      if (resetBy === 'us') return; // was on its way
      if (resetBy === 'peer') return this.#onClosed(id);
      if (this.#history.wasSkipped(id)) {
        throw new Http2Error(ErrorCode.PROTOCOL_ERROR, 'stream identifiers must grow'); // section 5.1.1
      }
      throw new Http2Error(ErrorCode.STREAM_CLOSED, 'HEADERS on a closed stream');
    }
    if (stream.remoteEnded) return this.#resetFor(stream, ErrorCode.STREAM_CLOSED);
    if (!ended || !areTrailers(fields) || stream.missing > 0) {
      return this.#resetFor(stream, ErrorCode.PROTOCOL_ERROR);
    }
    stream.remoteEnded = true;
    stream.handler.data(stream, NO_BYTES, 0, 0, true);
  }

  // ---- the other frames, sections 6.3 to 6.9 ----

  #priority(id: number, data: Buffer, start: number, end: number): void {
    if (id === 0) throw new Http2Error(ErrorCode.PROTOCOL_ERROR, 'PRIORITY on stream 0');
    this.#floods.ping();
    const code =
      end - start !== 5
        ? ErrorCode.FRAME_SIZE_ERROR
        : (data.readUInt32BE(start) & MAX_31_BITS) === id
          ? ErrorCode.PROTOCOL_ERROR
          : undefined;
    if (code === undefined) return;
    const stream = this.#streams.get(id);
    if (stream !== undefined) return this.#resetFor(stream, code);
    // A stream that is idle cannot be reset (section 6.4), and one that is closed has nothing to lose.
    if (id > this.#lastId) throw new Http2Error(code, 'PRIORITY with an error on an idle stream');
  }

  #rstStream(id: number, size: number): void {
    if (size !== 4) throw wrongSize();
    const stream = this.#streams.get(id);
    if (stream === undefined) return this.#notIdle(id);
    this.#streams.delete(id);
    this.#blocked.delete(stream);
    this.#history.reset(id, 'peer');
    stream.abandon();
    // Not when the answer was on its way or the deadline had passed: Envoy resets streams in both cases all day long.
    if (!stream.handler.cancelled(stream)) this.#floods.reset();
    if (this.#draining) this.#closeWhenDone();
  }

  #applySettings(flags: number, id: number, data: Buffer, start: number, end: number): void {
    onConnection(id);
    if ((flags & Flag.ACK) !== 0) {
      if (end !== start) throw wrongSize();
      if (!this.#settled)
        throw new Http2Error(ErrorCode.PROTOCOL_ERROR, 'an ACK before SETTINGS', 'bad_preface');
      return;
    }
    if ((end - start) % 6 !== 0) throw wrongSize();
    this.#floods.settings();
    const before = this.#peer.initialWindowBytes;
    this.#peer.update(data, start, end);
    const change = this.#peer.initialWindowBytes - before;
    this.writer.frame(FrameType.SETTINGS, Flag.ACK, 0, NO_BYTES);
    if (!this.#settled) {
      this.#settled = true;
      this.#keepalive.opened();
    }
    if (change === 0) return;
    // Section 6.9.2: it holds for the streams that are open, and may take a window below zero.
    for (const stream of this.#streams.values()) {
      stream.sendWindow += change;
      if (stream.sendWindow > MAX_31_BITS) throw windowOverflow();
    }
    this.#unblock();
  }

  #ping(flags: number, id: number, data: Buffer, start: number, end: number): void {
    onConnection(id);
    if (end - start !== 8) throw wrongSize();
    if ((flags & Flag.ACK) === 0) {
      this.#floods.ping();
      this.writer.frame(FrameType.PING, Flag.ACK, 0, data.subarray(start, end));
    } else if (this.#draining && DRAIN_PING.equals(data.subarray(start, end))) {
      this.#lastCall();
    }
  }

  #windowUpdate(id: number, data: Buffer, start: number, end: number): void {
    if (end - start !== 4) throw wrongSize();
    const increment = data.readUInt32BE(start) & MAX_31_BITS;
    if (id === 0) {
      if (increment === 0) throw new Http2Error(ErrorCode.PROTOCOL_ERROR, 'WINDOW_UPDATE of 0');
      this.sendWindow += increment;
      if (this.sendWindow > MAX_31_BITS) throw windowOverflow();
      return this.#unblock();
    }
    const stream = this.#streams.get(id);
    if (stream === undefined) return this.#notIdle(id);
    if (increment === 0) return this.#resetFor(stream, ErrorCode.PROTOCOL_ERROR);
    stream.sendWindow += increment;
    if (stream.sendWindow > MAX_31_BITS) return this.#resetFor(stream, ErrorCode.FLOW_CONTROL_ERROR);
    stream.drain();
  }

  #unblock(): void {
    for (const stream of this.#blocked) {
      if (this.sendWindow <= 0) return;
      stream.drain();
      if (stream.waiting === 0) this.#blocked.delete(stream);
    }
  }

  // ---- errors of one stream ----

  /** A stream error of an open stream: its handler hears of it as of a reset by the peer. */
  #resetFor(stream: Stream, code: ErrorCode): void {
    stream.reset(code);
    this.#history.reset(stream.id, 'us');
    stream.handler.cancelled(stream);
    this.#floods.streamError();
  }

  /** A stream that never came to be. */
  #refuse(id: number, code: ErrorCode): void {
    this.#history.opened(id, this.#lastId);
    this.#lastId = id;
    this.#history.reset(id, 'us');
    this.writer.numbers(FrameType.RST_STREAM, id, code);
    this.#floods.streamError();
  }

  /** A frame for a stream that has ended. */
  #onClosed(id: number): void {
    if (this.#history.resetBy(id) === 'us') return;
    this.writer.numbers(FrameType.RST_STREAM, id, ErrorCode.STREAM_CLOSED);
    this.#floods.streamError();
  }

  #notIdle(id: number): void {
    if (id === 0 || (id & 1) === 0 || id > this.#lastId) {
      throw new Http2Error(ErrorCode.PROTOCOL_ERROR, 'a frame for a stream that is idle, or for none');
    }
  }
}

const TOO_LARGE = { open: () => {}, data: () => {}, cancelled: () => true };

function onConnection(id: number): void {
  if (id !== 0) throw new Http2Error(ErrorCode.PROTOCOL_ERROR, 'a frame of the connection on a stream');
}

function wrongSize(): Http2Error {
  return new Http2Error(ErrorCode.FRAME_SIZE_ERROR, 'a frame of the wrong size');
}

function windowOverflow(): Http2Error {
  return new Http2Error(ErrorCode.FLOW_CONTROL_ERROR, 'a window above 2^31-1');
}

/** Bytes of padding at the end of a padded frame. Section 6.1. */
function padding(data: Buffer, start: number, end: number): number {
  const size = end === start ? undefined : data[start]!;
  if (size === undefined) throw wrongSize();
  if (size >= end - start) throw new Http2Error(ErrorCode.PROTOCOL_ERROR, 'padding longer than its frame');
  return size;
}
