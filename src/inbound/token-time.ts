// The time that tokens are held to. Wall clock and monotonic clock both count: a clock that is set back, by an operator
// or by NTP, makes no old token valid again.
import type { Clock } from '../lib/clock.ts';
import type { RefusalReason } from './refusal.ts';
import type { VerifiedToken } from './verified-token.ts';

export interface TokenTime {
  /** Epoch milliseconds: the later of the wall clock and the start of this process plus the time it has run. */
  now(): number;
}

export function createTokenTime(clock: Clock): TokenTime {
  const offset = clock.now() - clock.monotonic();
  return { now: () => Math.max(clock.now(), clock.monotonic() + offset) };
}

type Times = Pick<VerifiedToken, 'expiresAt' | 'notBefore' | 'issuedAt' | 'leewayMs'>;

/** By exp, nbf and iat (RFC 7519 section 4.1), for every request anew. `now` in epoch milliseconds. */
export function timeRefusal(token: Times, now: number): RefusalReason | undefined {
  if (now >= token.expiresAt + token.leewayMs) return 'token_expired';
  if (now < token.notBefore - token.leewayMs) return 'token_not_yet_valid';
  // What was issued in the future was issued by a clock that cannot be trusted, or by nobody.
  if (now < token.issuedAt - token.leewayMs) return 'token_not_yet_valid';
  return undefined;
}
