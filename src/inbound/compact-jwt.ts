// A JWT in compact form, taken apart strictly before anything of it is believed (RFC 7515 section 7.1, RFC 8725).
import { parseUniqueJson } from './unique-json.ts';

export const MAX_TOKEN_BYTES = 16 << 10;

export interface CompactJwt {
  readonly alg: string;
  readonly kid: string | undefined;
  /** Lower case, without `application/`; `''` = none. */
  readonly typ: string;
  readonly header: Readonly<Record<string, unknown>>;
  readonly claims: Readonly<Record<string, unknown>>;
}

/** undefined when it is none: five parts, padding, another alphabet, doubled names, `crit`. */
export function parseCompactJwt(token: string): CompactJwt | undefined {
  if (token.length > MAX_TOKEN_BYTES) return undefined;
  const parts = token.split('.');
  if (parts.length !== 3) return undefined;
  const header = parseObject(parts[0]!);
  const claims = parseObject(parts[1]!);
  if (header === undefined || claims === undefined || !isBase64Url(parts[2]!)) return undefined;
  const { alg, kid, typ } = header;
  if (typeof alg !== 'string') return undefined;
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > 1_024)) return undefined;
  if (typ !== undefined && typeof typ !== 'string') return undefined;
  // Nothing critical is understood here, so what is critical to the issuer cannot be honoured.
  if (Object.hasOwn(header, 'crit')) return undefined;
  return { alg, kid, typ: (typ ?? '').toLowerCase().replace(/^application\//, ''), header, claims };
}

function parseObject(part: string): Readonly<Record<string, unknown>> | undefined {
  if (!isBase64Url(part)) return undefined;
  let text: string;
  try {
    text = UTF8.decode(Buffer.from(part, 'base64url'));
  } catch {
    return undefined;
  }
  const value = parseUniqueJson(text);
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : undefined;
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Exactly one spelling counts: no padding, no white space, unused bits zero. */
function isBase64Url(part: string): boolean {
  return part !== '' && Buffer.from(part, 'base64url').toString('base64url') === part;
}
