// exp, nbf and iat of a token (RFC 7519 section 4.1), for every request anew.
import type { RefusalReason } from './refusal.ts';
import type { VerifiedToken } from './verified-token.ts';

type Times = Pick<VerifiedToken, 'expiresAt' | 'notBefore' | 'issuedAt' | 'leewayMs'>;

/** `now` in epoch milliseconds. */
export function timeRefusal(token: Times, now: number): RefusalReason | undefined {
  if (now >= token.expiresAt + token.leewayMs) return 'token_expired';
  if (now < token.notBefore - token.leewayMs) return 'token_not_yet_valid';
  // What was issued in the future was issued by a clock that cannot be trusted, or by nobody.
  if (now < token.issuedAt - token.leewayMs) return 'token_not_yet_valid';
  return undefined;
}
