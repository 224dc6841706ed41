// The server's side of one HTTP/2 connection, over any duplex stream. RFC 9113.
// Everything that one read brings is worked off in the same turn, and the answers to it go out in one write or two.
import type { Duplex } from 'node:stream';
import type { Clock } from '../lib/clock.ts';
import { ConnectionEnd } from './connection-end.ts';
import { ErrorCode, Http2Error } from './errors.ts';
import { Floods } from './floods.ts';
import { FrameReader, type FrameSink } from './frame-reader.ts';
import { FrameWriter } from './frame-writer.ts';
import { Flag, FrameType, MAX_31_BITS } from './frames.ts';
import { Keepalive } from './keepalive.ts';
import type { Limits } from './limits.ts';
import { DEFAULT_WINDOW_BYTES, OpenStreams } from './open-streams.ts';
import { wrongSize } from './padding.ts';
import { ReceivedData } from './received-data.ts';
import { RequestHeads } from './request-heads.ts';
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

const NO_BYTES = Buffer.alloc(0);
const KEEPALIVE_PING = Buffer.from('are you?', 'latin1');

class ServerConnection implements Connection, FrameSink {
  readonly #socket: Duplex;
  readonly #limits: Limits;
  readonly #onFault: (fault: string) => void;
  readonly #writer: FrameWriter;
  readonly #peer = new PeerSettings();
  readonly #reader = new FrameReader();
  readonly #floods: Floods;
  readonly #streams: OpenStreams;
  readonly #heads: RequestHeads;
  readonly #bodies: ReceivedData;
  readonly #keepalive: Keepalive;
  readonly #end: ConnectionEnd;
  #settled = false;
  #reading = false;
  #flushPlanned = false;
  #heard = false;

  constructor(socket: Duplex, service: Service, options: ConnectionOptions) {
    const { limits, clock, random, onFault, onClose } = options;
    this.#socket = socket;
    this.#limits = limits;
    this.#onFault = onFault;
    const writer = new FrameWriter(socket);
    this.#writer = writer;
    this.#floods = new Floods(limits, clock);
    const streams = new OpenStreams({
      writer,
      peer: this.#peer,
      limits,
      floods: this.#floods,
      onFault,
      onWritten: () => this.#written(),
      onEnded: () => this.#end.streamEnded(),
    });
    this.#streams = streams;
    this.#heads = new RequestHeads(service, streams, limits, onFault);
    this.#bodies = new ReceivedData(writer, streams, this.#floods, limits);
    this.#keepalive = new Keepalive(
      {
        heard: () => {
          const heard = this.#heard;
          this.#heard = false;
          return heard;
        },
        busy: () => streams.size > 0,
        streams: () => streams.lastId,
        ping: () => {
          writer.frame(FrameType.PING, Flag.NONE, 0, KEEPALIVE_PING);
          this.#flush();
        },
        drain: () => this.drain(),
        expire: (fault) => {
          onFault(fault);
          this.destroy();
        },
      },
      limits,
      clock,
      random,
    );
    this.#end = new ConnectionEnd({
      socket,
      writer,
      streams,
      clock,
      onFault,
      flush: () => this.#flush(),
      onOver: () => this.#keepalive.stop(),
      onClose,
    });
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('error', () => {}); // 'close' follows
    socket.once('end', () => this.#end.closed());
    socket.once('close', () => this.#end.closed());
    writer.frame(FrameType.SETTINGS, Flag.NONE, 0, encodeSettings(limits));
    writer.numbers(FrameType.WINDOW_UPDATE, 0, limits.connectionWindowBytes - DEFAULT_WINDOW_BYTES);
    this.#flush();
  }

  drain(): void {
    this.#end.drain();
  }

  destroy(): void {
    this.#end.destroy();
  }

  // ---- writing ----

  #written(): void {
    if (this.#reading || this.#flushPlanned) return;
    this.#flushPlanned = true;
    // After all promises of this turn: a thousand calls that waited for one token are answered in one write.
    process.nextTick(() => {
      this.#flushPlanned = false;
      this.#flush();
    });
  }

  #flush(): void {
    this.#writer.flush();
    const waiting = this.#socket.writableLength + this.#streams.waitingBytes;
    if (waiting > this.#limits.maxOutputBytes && !this.over) {
      this.#onFault('slow_reader');
      this.destroy();
    }
  }

  // ---- reading ----

  #read(chunk: Buffer): void {
    if (this.over) return;
    this.#heard = true;
    this.#reading = true;
    this.#writer.begin();
    try {
      this.#reader.read(chunk, this);
    } catch (error) {
      if (!(error instanceof Http2Error)) {
        this.destroy();
        throw error;
      }
      this.#end.fail(error);
    } finally {
      this.#reading = false;
    }
    this.#flush();
  }

  get over(): boolean {
    return this.#end.over;
  }

  frame(type: number, flags: number, id: number, data: Buffer, start: number, end: number): void {
    if (!this.#settled && type !== FrameType.SETTINGS) {
      throw new Http2Error(ErrorCode.PROTOCOL_ERROR, 'the first frame is not SETTINGS', 'bad_preface');
    }
    this.#heads.expect(type, id);
    switch (type) {
      case FrameType.DATA:
        return this.#bodies.data(flags, id, data, start, end);
      case FrameType.HEADERS:
        return this.#heads.headers(flags, id, data, start, end);
      case FrameType.CONTINUATION:
        return this.#heads.continuation(flags, data, start, end);
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

  // ---- the other frames, sections 6.3 to 6.9 ----

  #priority(id: number, data: Buffer, start: number, end: number): void {
    if (id === 0) throw new Http2Error(ErrorCode.PROTOCOL_ERROR, 'PRIORITY on stream 0');
    this.#floods.ping();
    const dependsOn = end - start === 5 ? data.readUInt32BE(start) & MAX_31_BITS : undefined;
    this.#streams.priority(id, dependsOn);
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
    } else this.#end.pinged(data.subarray(start, end));
  }

  #windowUpdate(id: number, data: Buffer, start: number, end: number): void {
    if (end - start !== 4) throw wrongSize();
    this.#streams.windowUpdate(id, data.readUInt32BE(start) & MAX_31_BITS);
  }
}

function onConnection(id: number): void {
  if (id !== 0) throw new Http2Error(ErrorCode.PROTOCOL_ERROR, 'a frame of the connection on a stream');
}
