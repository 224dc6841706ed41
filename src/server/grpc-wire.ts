// The parts of "gRPC over HTTP/2" that are plain functions of bytes and text. Knows no sockets.

const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

/** Value of grpc-timeout in milliseconds; undefined when it is malformed. At most eight digits and one unit. */
export function parseGrpcTimeoutMs(value: string): number | undefined {
  const match = /^(\d{1,8})([HMSmun])$/.exec(value);
  return match ? Number(match[1]) * UNIT_MS[match[2]!]! : undefined;
}

/** Bytes before each message: one of flags, four of length. */
export const FRAME_HEADER_BYTES = 5;

/** An uncompressed length-prefixed message. */
export function frameMessage(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, FRAME_HEADER_BYTES);
  return frame;
}

/** grpc-message: everything but printable ASCII, and the percent sign, percent-encoded as UTF-8. */
export function encodeGrpcMessage(text: string): string {
  return text.replace(/[^\x20-\x24\x26-\x7e]+/g, (part) =>
    [...Buffer.from(part)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  );
}

/** `application/grpc`, alone or with a format or parameters. */
export function isGrpcContentType(value: string | undefined): boolean {
  return value === 'application/grpc' || (value !== undefined && /^application\/grpc[+;]/.test(value));
}
