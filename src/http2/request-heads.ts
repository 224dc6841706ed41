// HEADERS and CONTINUATION: what opens a stream, and the trailers that end a request. RFC 9113, sections 6.2, 6.10 and 8.1.
import { ErrorCode, Http2Error } from './errors.ts';
import { Flag, MAX_31_BITS } from './frames.ts';
import { HeadCache, type KnownHead } from './head-cache.ts';
import { HeaderAssembly } from './header-assembly.ts';
import { HpackDecoder } from './hpack/decoder.ts';
import { encodeHeaders } from './hpack/encode.ts';
import type { Limits } from './limits.ts';
import type { OpenStreams } from './open-streams.ts';
import { padding, wrongSize } from './padding.ts';
import { areTrailers, parseRequestHead } from './request-head.ts';
import type { Service } from './service.ts';

const HEADER_TABLE_BYTES = 4_096; // the default, about which nothing needs to be said
const NO_BYTES = Buffer.alloc(0);
const HEADERS_TOO_LARGE = encodeHeaders([[':status', '431']]);
const TOO_LARGE = { open: () => {}, data: () => {}, cancelled: () => true };

export class RequestHeads {
  readonly #service: Service;
  readonly #streams: OpenStreams;
  readonly #limits: Limits;
  readonly #onFault: (fault: string) => void;
  readonly #hpack = new HpackDecoder(HEADER_TABLE_BYTES);
  readonly #heads = new HeadCache();
  readonly #assembly: HeaderAssembly;

  constructor(service: Service, streams: OpenStreams, limits: Limits, onFault: (fault: string) => void) {
    this.#service = service;
    this.#streams = streams;
    this.#limits = limits;
    this.#onFault = onFault;
    this.#assembly = new HeaderAssembly(limits);
  }

  // Each throws Http2Error.

  /** Before every frame: nothing may come between the frames of a block. */
  expect(type: number, id: number): void {
    this.#assembly.expect(type, id);
  }

  headers(flags: number, id: number, data: Buffer, start: number, end: number): void {
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
      this.#block(id, ended, dependsOn, data, blockStart, blockEnd);
      return;
    }
    this.#assembly.begin({ id, ended, dependsOn }, data.subarray(blockStart, blockEnd));
  }

  continuation(flags: number, data: Buffer, start: number, end: number): void {
    this.#assembly.add(data.subarray(start, end));
    if ((flags & Flag.END_HEADERS) === 0) return;
    const {
      start: { id, ended, dependsOn },
      block,
    } = this.#assembly.end();
    this.#block(id, ended, dependsOn, block, 0, block.length);
  }

  #block(id: number, ended: boolean, dependsOn: number, data: Buffer, start: number, end: number): void {
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
      this.#onFault('header_list_too_large');
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
}
