// Bytes to frames: the preface once, then every whole frame of what has come. RFC 9113, sections 3.4 and 4.1.
import { ErrorCode, Http2Error } from './errors.ts';
import { FRAME_HEADER_BYTES, MAX_FRAME_BYTES, PREFACE } from './frames.ts';

export interface FrameSink {
  /** The payload lies in `data` from `start` to `end`; it is not valid after the call. Throws Http2Error. */
  frame(type: number, flags: number, id: number, data: Buffer, start: number, end: number): void;
  /** Nothing more is wanted. */
  readonly over: boolean;
}

export class FrameReader {
  #prefaceBytes = 0;
  /** The beginning of a frame whose rest has not come yet. */
  #rest: Buffer | undefined;

  /** Throws Http2Error: of the sink, for a wrong preface, for a frame that is too large. */
  read(chunk: Buffer, sink: FrameSink): void {
    let data = this.#prefaceBytes < PREFACE.length ? this.#preface(chunk) : chunk;
    if (this.#rest !== undefined) {
      data = Buffer.concat([this.#rest, data]);
      this.#rest = undefined;
    }
    let at = 0;
    while (data.length - at >= FRAME_HEADER_BYTES) {
      const length = (data[at]! << 16) | (data[at + 1]! << 8) | data[at + 2]!;
      if (length > MAX_FRAME_BYTES) throw new Http2Error(ErrorCode.FRAME_SIZE_ERROR, 'frame above 16 KiB');
      const start = at + FRAME_HEADER_BYTES;
      const end = start + length;
      if (end > data.length) break;
      const id =
        ((data[at + 5]! & 0x7f) << 24) | (data[at + 6]! << 16) | (data[at + 7]! << 8) | data[at + 8]!;
      sink.frame(data[at + 3]!, data[at + 4]!, id, data, start, end);
      if (sink.over) return;
      at = end;
    }
    // A copy: the next read may go into the same bytes.
    if (at < data.length) this.#rest = Buffer.from(data.subarray(at));
  }

  /** Returns what follows the preface in `chunk`. */
  #preface(chunk: Buffer): Buffer {
    const size = Math.min(PREFACE.length - this.#prefaceBytes, chunk.length);
    for (let i = 0; i < size; i++) {
      if (chunk[i] !== PREFACE[this.#prefaceBytes + i]) {
        throw new Http2Error(ErrorCode.PROTOCOL_ERROR, 'no HTTP/2 preface', 'bad_preface');
      }
    }
    this.#prefaceBytes += size;
    return chunk.subarray(size);
  }
}
