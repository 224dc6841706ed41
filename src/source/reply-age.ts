// How old a token answer is. A cache between us and the provider (RFC 9111) gives a token that has lived already: it says so
// by Age, or shows itself by the same token under the same Date again.
import { keyOf } from '../credential/subject.ts';
import type { Clock } from '../lib/clock.ts';
import { expiryOf, issuedAtOf } from './jwt-expiry.ts';

export interface ReplyAge {
  /** Milliseconds that its lifetimes must be cut by. `sentAt`: monotonic ms. */
  of(headers: Headers, token: string, sentAt: number): number;
}

export function createReplyAge(clock: Clock): ReplyAge {
  let last: { readonly date: string; readonly token: string; readonly at: number } | undefined;
  return {
    of(headers, token, sentAt) {
      const told = ageMs(headers);
      const date = headers.get('date');
      if (date === null) return told;
      const key = keyOf(token);
      if (last?.date === date && last.token === key) return Math.max(told, sentAt - last.at);
      last = { date, token: key, at: clock.monotonic() - told };
      return told;
    },
  };
}

/**
 * The headers, with a Date by the token's own `iat` where the provider sends none (Keycloak without a proxy): a JWT whose whole
 * life is what `expires_in` promises was issued just now. No cache was in between, it would have added a Date (RFC 9110
 * section 6.6.1). `expiresIn`: as it stood in the JSON.
 */
export function datedByToken(headers: Headers, token: string, expiresIn: unknown): Headers {
  const issuedAt = issuedAtOf(token);
  if (headers.has('date') || headers.has('age') || issuedAt === undefined) return headers;
  const lifeMs = (expiryOf(token) ?? Number.NaN) - issuedAt;
  // A token that is given again has less than that left.
  if (!(Math.abs(lifeMs - Number(expiresIn) * 1_000) <= 1_000)) return headers;
  const dated = new Headers(headers);
  dated.set('date', new Date(issuedAt).toUTCString());
  return dated;
}

/** RFC 9111 section 5.1: whole seconds; what is none is none. */
function ageMs(headers: Headers): number {
  const text = headers.get('age') ?? '';
  return /^\d{1,9}$/.test(text) ? Number(text) * 1_000 : 0;
}
