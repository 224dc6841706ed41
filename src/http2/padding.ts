// Sizes that several frames share: padding at the end, and the error of a frame that is too short for its own fields.
import { ErrorCode, Http2Error } from './errors.ts';

/** Bytes of padding at the end of a padded frame. RFC 9113, section 6.1. */
export function padding(data: Buffer, start: number, end: number): number {
  const size = end === start ? undefined : data[start]!;
  if (size === undefined) throw wrongSize();
  if (size >= end - start) throw new Http2Error(ErrorCode.PROTOCOL_ERROR, 'padding longer than its frame');
  return size;
}

export function wrongSize(): Http2Error {
  return new Http2Error(ErrorCode.FRAME_SIZE_ERROR, 'a frame of the wrong size');
}
