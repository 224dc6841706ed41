// The header that carries a credential, and what stands before the credential in it (RFC 9110 sections 5.1 and 5.5).
import { refuse } from './invalid.ts';

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
const MAX_PREFIX_LENGTH = 256;

// What routes a request or frames it. A credential in one of these would break the request or Envoy's view of it.
const RESERVED = new Set([
  'connection',
  'content-length',
  'host',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Lower case. Throws Invalid. */
export function parseHeaderName(text: string): string {
  const name = text.toLowerCase();
  if (name.startsWith(':')) refuse(`a pseudo header cannot carry a credential, got "${text}"`);
  if (!TOKEN.test(name))
    refuse(`expected the name of a header, e.g. authorization or x-api-key, got "${text}"`);
  return name;
}

/** A header that may be set on requests. Throws Invalid. */
export function parseInjectedHeader(text: string): string {
  const name = parseHeaderName(text);
  if (RESERVED.has(name)) refuse(`the header ${name} steers the connection and cannot carry a credential`);
  if (name.startsWith('x-envoy-'))
    refuse('headers x-envoy-* steer Envoy itself and cannot carry a credential');
  return name;
}

/** A header of a call to a provider. Throws Invalid. */
export function parseRequestHeader(text: string): string {
  const name = parseHeaderName(text);
  if (RESERVED.has(name)) refuse(`the header ${name} steers the connection and is not for you to set`);
  return name;
}

/** Throws Invalid; does not quote, since a whole credential may have been put here. */
export function parsePrefix(text: string): string {
  if (!/^[\x20-\x7e]*$/.test(text)) refuse('a prefix has visible ASCII characters and spaces only');
  if (text.startsWith(' ')) refuse('a prefix does not start with a space: receivers drop it');
  if (text.length > MAX_PREFIX_LENGTH) refuse(`a prefix has at most ${MAX_PREFIX_LENGTH} characters`);
  return text;
}

/** Scheme words of RFC 6750 go with the authorization header only. */
export function defaultPrefix(header: string): string {
  return header === 'authorization' ? 'Bearer ' : '';
}
