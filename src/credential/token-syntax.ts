// What may become part of a header. A token that could end the header and start another never leaves the store.
import { CredentialError } from '../lib/errors.ts';
import type { TokenSource } from './credential.ts';

/** Bytes; grpc clients of ext_authz servers ignore longer header values (gRFC A92). */
export const MAX_TOKEN_BYTES = 16 << 10;

// RFC 6750 section 2.1, b64token.
const BEARER_TOKEN = /^[A-Za-z0-9\-._~+/]+=*$/;
// Keys of other schemes may have inner spaces, but no edges that a parser would trim (RFC 9110 section 5.5).
const HEADER_VALUE = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;

/** Whether a request's text is one RFC 6750 token of a size that is kept. */
export function isBearerToken(text: string): boolean {
  return text.length <= MAX_TOKEN_BYTES && BEARER_TOKEN.test(text);
}

/** Throws CredentialError source_invalid_response. Tokens of providers must be RFC 6750 tokens; static keys header text. */
export function validateToken(value: string, syntax: TokenSource['syntax']): void {
  const refuse = (what: string): never => {
    throw new CredentialError('source_invalid_response', what, { retryable: true });
  };
  if (value === '') refuse('the token is empty');
  if (value.length > MAX_TOKEN_BYTES) refuse(`the token is longer than ${MAX_TOKEN_BYTES} bytes`);
  if (syntax === 'b64token') {
    if (!BEARER_TOKEN.test(value)) refuse('the token has characters that RFC 6750 does not allow');
  } else if (!HEADER_VALUE.test(value)) {
    refuse(
      'the value has characters that a header may not carry (line breaks, edges of white space, non-ASCII)',
    );
  }
}
