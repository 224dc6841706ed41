// Error codes of HTTP/2 and the one way to end a connection for a peer's fault. RFC 9113, section 7.

export const ErrorCode = {
  NO_ERROR: 0x0,
  PROTOCOL_ERROR: 0x1,
  INTERNAL_ERROR: 0x2,
  FLOW_CONTROL_ERROR: 0x3,
  SETTINGS_TIMEOUT: 0x4,
  STREAM_CLOSED: 0x5,
  FRAME_SIZE_ERROR: 0x6,
  REFUSED_STREAM: 0x7,
  CANCEL: 0x8,
  COMPRESSION_ERROR: 0x9,
  ENHANCE_YOUR_CALM: 0xb,
} as const;

export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode];

/** Ends the whole connection with GOAWAY(`code`). `message` is fixed text: what the peer did. */
export class Http2Error extends Error {
  override readonly name = 'Http2Error';
  readonly code: ErrorCode;
  /** As counted: a closed set of words. */
  readonly fault: string;

  constructor(code: ErrorCode, message: string, fault = 'protocol_error') {
    super(message);
    this.code = code;
    this.fault = fault;
  }
}
