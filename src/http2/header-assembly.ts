// A header block that comes in several frames: HEADERS and its CONTINUATIONs. RFC 9113, sections 4.3 and 6.10.
import { ErrorCode, Http2Error } from './errors.ts';
import { FrameType } from './frames.ts';
import type { Limits } from './limits.ts';

/** What the HEADERS frame said beside its part of the block. */
export interface BlockStart {
  readonly id: number;
  /** END_STREAM. */
  readonly ended: boolean;
  /** Stream that this one depends on; -1 = it did not say. */
  readonly dependsOn: number;
}

export class HeaderAssembly {
  readonly #limits: Limits;
  #open: BlockStart | undefined;
  #parts: Buffer[] = [];
  #bytes = 0;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /** Nothing may come between the frames of a block. Throws Http2Error. */
  expect(type: number, id: number): void {
    const open = this.#open;
    if (open !== undefined && (type !== FrameType.CONTINUATION || id !== open.id)) {
      throw new Http2Error(ErrorCode.PROTOCOL_ERROR, 'another frame inside a header block');
    }
  }

  begin(start: BlockStart, part: Buffer): void {
    this.#open = start;
    this.#bytes = 0;
    this.#parts = [];
    this.add(part);
  }

  /** Takes a copy. Throws Http2Error. */
  add(part: Buffer): void {
    if (this.#open === undefined) {
      throw new Http2Error(ErrorCode.PROTOCOL_ERROR, 'CONTINUATION without HEADERS');
    }
    this.#parts.push(Buffer.from(part));
    this.#bytes += part.length;
    // The block cannot be skipped: the table would be out of step. So the connection ends (section 10.5.1).
    if (this.#bytes > this.#limits.maxHeaderListBytes || this.#parts.length > this.#limits.maxHeaderFrames) {
      throw new Http2Error(ErrorCode.ENHANCE_YOUR_CALM, 'header block too large', 'continuation_flood');
    }
  }

  /** The whole block, and what began it. */
  end(): { start: BlockStart; block: Buffer } {
    const start = this.#open!;
    const block = Buffer.concat(this.#parts);
    this.#open = undefined;
    this.#parts = [];
    return { start, block };
  }
}
