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
import { DEFAULT_WINDOW_BYTES, OpenStreams } from './open-streams.ts';
import { areTrailers, parseRequestHead } from './request-head.ts';
import type { Service } from './service.ts';
import { encodeSettings, PeerSettings } from './settings.ts';

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
const NO_BYTES = Buffer.alloc(0);
const DRAIN_PING = Buffer.from('draining', 'latin1');
const KEEPALIVE_PING = Buffer.from('are you?', 'latin1');
const HEADERS_TOO_LARGE = encodeHeaders([[':status', '431']]);
/** For the peer to read a GOAWAY before the socket is taken from under it. */
const LINGER_MS = 1_000;

class ServerConnection implements Connection, FrameSink {
  readonly #socket: Duplex;
  readonly #writer: FrameWriter;
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

  readonly #streams: OpenStreams;
  #settled = false;
  #receiveWindow: number;

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
    this.#writer = new FrameWriter(socket);
    this.#assembly = new HeaderAssembly(limits);
    this.#floods = new Floods(limits, clock);
    this.#streams = new OpenStreams({
      writer: this.#writer,
      peer: this.#peer,
      limits,
      floods: this.#floods,
      onFault: options.onFault,
      onWritten: () => this.#written(),
      onEnded: () => this.#draining && this.#closeWhenDone(),
    });
    this.#keepalive = new Keepalive(
      {
        heard: () => {
          const heard = this.#heard;
          this.#heard = false;
          return heard;
        },
        busy: () => this.#streams.size > 0,
        streams: () => this.#streams.lastId,
        ping: () => {
          this.#writer.frame(FrameType.PING, Flag.NONE, 0, KEEPALIVE_PING);
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
    this.#writer.frame(FrameType.SETTINGS, Flag.NONE, 0, encodeSettings(limits));
    this.#writer.numbers(FrameType.WINDOW_UPDATE, 0, limits.connectionWindowBytes - DEFAULT_WINDOW_BYTES);
    this.#flush();
  }

  #written(): void {
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
    this.#writer.numbers(FrameType.GOAWAY, 0, MAX_31_BITS, ErrorCode.NO_ERROR);
    this.#writer.frame(FrameType.PING, Flag.NONE, 0, DRAIN_PING);
    this.#linger = this.#options.clock.setTimer(() => this.#lastCall(), LINGER_MS);
    this.#flush();
  }

  destroy(): void {
    this.#socket.destroy();
    this.#closed();
  }

  /** What is open now is answered, what comes from now on is refused. */
  #lastCall(): void {
    if (this.#over || this.#streams.acceptUpTo !== MAX_31_BITS) return;
    this.#streams.acceptUpTo = this.#streams.lastId;
    this.#writer.numbers(FrameType.GOAWAY, 0, this.#streams.lastId, ErrorCode.NO_ERROR);
    this.#flush();
    this.#closeWhenDone();
  }

  #closeWhenDone(): void {
    if (this.#streams.acceptUpTo === MAX_31_BITS || this.#streams.size > 0 || this.#over) return;
    this.#flush();
    this.#end();
  }

  #fail(error: Http2Error): void {
    this.#options.onFault(error.fault);
    this.#writer.numbers(FrameType.GOAWAY, 0, this.#streams.lastId, error.code);
    this.#writer.flush();
    this.#end();
  }

  /** The socket goes when the peer has read what is written, or has had the time to. */
  #end(): void {
    this.#over = true;
    this.#socket.end();
    this.#linger?.cancel();
    this.#linger = this.#options.clock.setTimer(() => this.destroy(), LINGER_MS);
    this.#streams.abandonAll();
  }

  #closed(): void {
    this.#over = true;
    this.#linger?.cancel();
    this.#keepalive.stop();
    this.#streams.abandonAll();
    if (this.#socket.destroyed && !this.#gone) {
      this.#gone = true;
      this.#options.onClose();
    }
  }
  #gone = false;

  #flush(): void {
    this.#writer.flush();
    if (
      this.#socket.writableLength + this.#streams.waitingBytes > this.#limits.maxOutputBytes &&
      !this.#over
    ) {
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
      this.#writer.numbers(FrameType.WINDOW_UPDATE, 0, connectionWindowBytes - this.#receiveWindow);
      this.#receiveWindow = connectionWindowBytes;
    }
    if (stream === undefined) return this.#streams.dataAfterEnd(id);
    if (stream.remoteEnded) return this.#streams.reset(stream, ErrorCode.STREAM_CLOSED);

    stream.receiveWindow -= size;
    if (stream.receiveWindow < 0) return this.#streams.reset(stream, ErrorCode.FLOW_CONTROL_ERROR);
    const ended = (flags & Flag.END_STREAM) !== 0;
    if (!ended) {
      if (bodyStart === bodyEnd) this.#floods.empty();
      if (stream.receiveWindow < streamWindowBytes >> 1) {
        this.#writer.numbers(FrameType.WINDOW_UPDATE, id, streamWindowBytes - stream.receiveWindow);
        stream.receiveWindow = streamWindowBytes;
      }
    }
    if (stream.missing !== -1) {
      stream.missing -= bodyEnd - bodyStart;
      if (stream.missing < 0 || (ended && stream.missing !== 0)) {
        return this.#streams.reset(stream, ErrorCode.PROTOCOL_ERROR); // section 8.1.1: content-length
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
    if (id > this.#streams.lastId && dependsOn !== id) {
      const known = this.#heads.find(data, start, end);
      if (known !== undefined) return this.#open(id, ended, known);
    }
    const block = data.subarray(start, end);
    const decoded = this.#hpack.decode(block, this.#limits.maxHeaderListBytes);
    if (!decoded.unchanged) this.#heads.clear();
    if (id <= this.#streams.lastId) return this.#trailers(id, ended, decoded.fields);
    if (dependsOn === id) return this.#streams.refuse(id, ErrorCode.PROTOCOL_ERROR); // section 5.3.1 of RFC 7540
    if (decoded.tooLarge) {
      const stream = this.#streams.create(id, { handler: TOO_LARGE, contentLength: -1 });
      if (stream === undefined) return;
      stream.remoteEnded = ended;
      this.#options.onFault('header_list_too_large');
      return stream.respondHead(HEADERS_TOO_LARGE);
    }
    const head = parseRequestHead(decoded.fields);
    if (head === undefined) return this.#streams.refuse(id, ErrorCode.PROTOCOL_ERROR);
    const known = { handler: this.#service.route(head), contentLength: head.contentLength };
    if (decoded.unchanged) this.#heads.keep(block, known);
    this.#open(id, ended, known);
  }

  #open(id: number, ended: boolean, head: KnownHead): void {
    const stream = this.#streams.create(id, head);
    if (stream === undefined) return;
    stream.remoteEnded = ended;
    if (ended && head.contentLength > 0) return this.#streams.reset(stream, ErrorCode.PROTOCOL_ERROR);
    head.handler.open(stream, ended);
  }

  #trailers(id: number, ended: boolean, fields: Parameters<typeof areTrailers>[0]): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return this.#streams.headersAfterEnd(id);
    if (stream.remoteEnded) return this.#streams.reset(stream, ErrorCode.STREAM_CLOSED);
    if (!ended || !areTrailers(fields) || stream.missing > 0) {
      return this.#streams.reset(stream, ErrorCode.PROTOCOL_ERROR);
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
    // Section 6.4: a stream that is idle cannot be reset.
    if (id > this.#streams.lastId) throw new Http2Error(code, 'PRIORITY with an error on an idle stream');
    const stream = this.#streams.get(id);
    if (stream !== undefined) this.#streams.reset(stream, code);
    else this.#writer.numbers(FrameType.RST_STREAM, id, code);
  }

  #rstStream(id: number, size: number): void {
    if (size !== 4) throw wrongSize();
    const stream = this.#streams.get(id);
    if (stream !== undefined) this.#streams.resetByPeer(stream);
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
    this.#writer.frame(FrameType.SETTINGS, Flag.ACK, 0, NO_BYTES);
    if (!this.#settled) {
      this.#settled = true;
      this.#keepalive.opened();
    }
    if (change !== 0) this.#streams.changeWindows(change);
  }

  #ping(flags: number, id: number, data: Buffer, start: number, end: number): void {
    onConnection(id);
    if (end - start !== 8) throw wrongSize();
    if ((flags & Flag.ACK) === 0) {
      this.#floods.ping();
      this.#writer.frame(FrameType.PING, Flag.ACK, 0, data.subarray(start, end));
    } else if (this.#draining && DRAIN_PING.equals(data.subarray(start, end))) {
      this.#lastCall();
    }
  }

  #windowUpdate(id: number, data: Buffer, start: number, end: number): void {
    if (end - start !== 4) throw wrongSize();
    const increment = data.readUInt32BE(start) & MAX_31_BITS;
    if (id === 0) {
      if (increment === 0) throw new Http2Error(ErrorCode.PROTOCOL_ERROR, 'WINDOW_UPDATE of 0');
      return this.#streams.grow(increment);
    }
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    if (increment === 0) return this.#streams.reset(stream, ErrorCode.PROTOCOL_ERROR);
    stream.sendWindow += increment;
    if (stream.sendWindow > MAX_31_BITS) return this.#streams.reset(stream, ErrorCode.FLOW_CONTROL_ERROR);
    stream.drain();
  }
}

const TOO_LARGE = { open: () => {}, data: () => {}, cancelled: () => true };

function onConnection(id: number): void {
  if (id !== 0) throw new Http2Error(ErrorCode.PROTOCOL_ERROR, 'a frame of the connection on a stream');
}

function wrongSize(): Http2Error {
  return new Http2Error(ErrorCode.FRAME_SIZE_ERROR, 'a frame of the wrong size');
}

/** Bytes of padding at the end of a padded frame. Section 6.1. */
function padding(data: Buffer, start: number, end: number): number {
  const size = end === start ? undefined : data[start]!;
  if (size === undefined) throw wrongSize();
  if (size >= end - start) throw new Http2Error(ErrorCode.PROTOCOL_ERROR, 'padding longer than its frame');
  return size;
}
