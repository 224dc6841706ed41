// The head of a request: validated whole, turned into strings only where asked. RFC 9113, sections 8.2 and 8.3.
import type { HeaderField } from './hpack/header-field.ts';

export class RequestHead {
  readonly #fields: readonly HeaderField[];
  /** Bytes that the body must have; -1 when the head does not say. */
  readonly contentLength: number;

  constructor(fields: readonly HeaderField[], contentLength: number) {
    this.#fields = fields;
    this.contentLength = contentLength;
  }

  /** Values of one name joined by a comma (RFC 9110, section 5.3); `name` in lower case, with its colon if it has one. */
  get(name: string): string | undefined {
    let joined: string | undefined;
    for (const field of this.#fields) {
      if (field.name !== name) continue;
      const value = field.value.toString('latin1');
      joined = joined === undefined ? value : `${joined}, ${value}`;
    }
    return joined;
  }
}

/** RFC 9110, section 5.6.2, without capitals (RFC 9113, section 8.2.1). */
const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
const PSEUDO = new Set([':method', ':scheme', ':authority', ':path']);
/** RFC 9113, section 8.2.2. */
const CONNECTION_SPECIFIC = new Set([
  'connection',
  'proxy-connection',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
]);

/** Undefined for a malformed request: a stream error PROTOCOL_ERROR (section 8.1.1). */
export function parseRequestHead(fields: readonly HeaderField[]): RequestHead | undefined {
  const pseudo = new Map<string, Buffer>();
  let regular = false;
  let contentLength = -1;
  for (const { name, value } of fields) {
    if (!isValue(value)) return undefined;
    if (name.startsWith(':')) {
      if (regular || !PSEUDO.has(name) || pseudo.has(name)) return undefined;
      pseudo.set(name, value);
      continue;
    }
    regular = true;
    if (!isRegular(name, value)) return undefined;
    if (name === 'content-length') {
      const length = parseContentLength(value);
      if (length === undefined || (contentLength !== -1 && contentLength !== length)) return undefined;
      contentLength = length;
    }
  }
  const method = pseudo.get(':method');
  if (method === undefined || method.length === 0) return undefined;
  if (method.equals(CONNECT)) {
    // Section 8.5: only :authority beside it.
    if (pseudo.has(':scheme') || pseudo.has(':path') || !pseudo.has(':authority')) return undefined;
  } else if (!pseudo.has(':scheme') || !pseudo.get(':path')?.length) return undefined;
  return new RequestHead(fields, contentLength);
}

const CONNECT = Buffer.from('CONNECT');

/** A trailer section has no pseudo-header fields (section 8.1). */
export function areTrailers(fields: readonly HeaderField[]): boolean {
  return fields.every(({ name, value }) => isRegular(name, value) && isValue(value));
}

function isRegular(name: string, value: Buffer): boolean {
  if (!NAME.test(name) || CONNECTION_SPECIFIC.has(name)) return false;
  return name !== 'te' || value.toString('latin1') === 'trailers';
}

/** Section 8.2.1: no NUL, CR or LF, no white space at either end. */
function isValue(value: Buffer): boolean {
  if (value.length === 0) return true;
  if (isSpace(value[0]!) || isSpace(value[value.length - 1]!)) return false;
  for (const byte of value) if (byte === 0 || byte === 0x0a || byte === 0x0d) return false;
  return true;
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x09;
}

function parseContentLength(value: Buffer): number | undefined {
  const text = value.toString('latin1');
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}
