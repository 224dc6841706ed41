// DATA: the two windows that we give, and the bodies of the requests. RFC 9113, sections 5.2 and 6.1.
import { ErrorCode, Http2Error } from './errors.ts';
import type { Floods } from './floods.ts';
import type { FrameWriter } from './frame-writer.ts';
import { Flag, FrameType } from './frames.ts';
import type { Limits } from './limits.ts';
import type { OpenStreams } from './open-streams.ts';
import { padding } from './padding.ts';

export class ReceivedData {
  readonly #writer: FrameWriter;
  readonly #streams: OpenStreams;
  readonly #floods: Floods;
  readonly #limits: Limits;
  /** What the peer may still send on the connection. */
  #window: number;

  constructor(writer: FrameWriter, streams: OpenStreams, floods: Floods, limits: Limits) {
    this.#writer = writer;
    this.#streams = streams;
    this.#floods = floods;
    this.#limits = limits;
    this.#window = limits.connectionWindowBytes;
  }

  /** Throws Http2Error. */
  data(flags: number, id: number, data: Buffer, start: number, end: number): void {
    const size = end - start;
    const stream = this.#streams.get(id);
    const bodyEnd = (flags & Flag.PADDED) === 0 ? end : end - padding(data, start, end);
    const bodyStart = (flags & Flag.PADDED) === 0 ? start : start + 1;

    this.#window -= size;
    if (this.#window < 0) {
      throw new Http2Error(ErrorCode.FLOW_CONTROL_ERROR, 'DATA beyond the window of the connection');
    }
    // Given back at once: what is kept of it is bounded by whoever keeps it, and a window held for messages that are not
    // whole would stop all of them for good.
    const { connectionWindowBytes, streamWindowBytes } = this.#limits;
    if (this.#window < connectionWindowBytes >> 1) {
      this.#writer.numbers(FrameType.WINDOW_UPDATE, 0, connectionWindowBytes - this.#window);
      this.#window = connectionWindowBytes;
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
}
