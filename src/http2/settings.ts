// SETTINGS of both sides. RFC 9113, section 6.5.
import { ErrorCode, Http2Error } from './errors.ts';
import { MAX_31_BITS, MAX_FRAME_BYTES } from './frames.ts';
import type { Limits } from './limits.ts';

const Setting = {
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6,
} as const;

const ENTRY_BYTES = 6;

/** What the peer's settings mean for what we send. The header table is not here: we never use it. */
export class PeerSettings {
  initialWindowBytes = 65_535;
  maxFrameBytes: number = MAX_FRAME_BYTES;

  /** Throws Http2Error for values out of range; entries before the wrong one are taken over. */
  update(payload: Buffer, start: number, end: number): void {
    for (let at = start; at < end; at += ENTRY_BYTES) {
      const value = payload.readUInt32BE(at + 2);
      switch (payload.readUInt16BE(at)) {
        case Setting.ENABLE_PUSH:
          if (value > 1) throw new Http2Error(ErrorCode.PROTOCOL_ERROR, 'ENABLE_PUSH above 1');
          break;
        case Setting.INITIAL_WINDOW_SIZE:
          if (value > MAX_31_BITS) {
            throw new Http2Error(ErrorCode.FLOW_CONTROL_ERROR, 'INITIAL_WINDOW_SIZE above 2^31-1');
          }
          this.initialWindowBytes = value;
          break;
        case Setting.MAX_FRAME_SIZE:
          if (value < MAX_FRAME_BYTES || value > 0xff_ffff) {
            throw new Http2Error(ErrorCode.PROTOCOL_ERROR, 'MAX_FRAME_SIZE out of range');
          }
          this.maxFrameBytes = Math.min(value, MAX_FRAME_BYTES);
          break;
        default: // an unknown one is ignored
      }
    }
  }
}

/** Payload of the SETTINGS frame that opens our side. */
export function encodeSettings(limits: Limits): Buffer {
  const entries = [
    [Setting.MAX_CONCURRENT_STREAMS, limits.maxStreams],
    [Setting.INITIAL_WINDOW_SIZE, limits.streamWindowBytes],
    [Setting.MAX_HEADER_LIST_SIZE, limits.maxHeaderListBytes],
  ] as const;
  const payload = Buffer.alloc(entries.length * ENTRY_BYTES);
  entries.forEach(([id, value], i) => {
    payload.writeUInt16BE(id, i * ENTRY_BYTES);
    payload.writeUInt32BE(value, i * ENTRY_BYTES + 2);
  });
  return payload;
}
