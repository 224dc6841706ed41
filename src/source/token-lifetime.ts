// How long a token of a provider lives, from expires_in (RFC 6749 section 5.1) and the token's own exp. The smaller one
// counts, from the moment the request was sent.
import { invalidResponse } from '../provider-http/errors.ts';
import { expiryOf } from './jwt-expiry.ts';

/** expires_in is only RECOMMENDED; without it and without exp. */
const DEFAULT_MS = 300_000;
/** Ten years. More is refused: it is in another unit. */
const ABSURD_SECONDS = 315_360_000;

export interface TokenReply {
  readonly accessToken: string;
  /** As it stood in the JSON. */
  readonly expiresIn: unknown;
  /** The provider's clock (Date header), epoch ms; undefined = unknown. */
  readonly providerNow: number | undefined;
}

/** Milliseconds. Throws CredentialError source_invalid_response; the 24 h cap is the store's. */
export function lifetimeOf({ accessToken, expiresIn, providerNow }: TokenReply, now: number): number {
  const told = expiresIn === undefined || expiresIn === null ? undefined : seconds(expiresIn) * 1_000;
  const expiresAt = expiryOf(accessToken);
  // exp is by the provider's clock, so its own Date is the better "now" where ours is off.
  const own = expiresAt === undefined ? undefined : expiresAt - (providerNow ?? now);
  if (own !== undefined && own <= 0) throw invalidResponse('the token had expired when it came');
  return Math.min(told ?? own ?? DEFAULT_MS, own ?? Number.POSITIVE_INFINITY);
}

/** Digits as text are taken too (Entra's v1 endpoint sends them); nothing else is guessed. */
function seconds(value: unknown): number {
  const number = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isFinite(number) || number <= 0) {
    throw invalidResponse('expires_in is not a positive number');
  }
  if (number > ABSURD_SECONDS) {
    throw invalidResponse(
      'expires_in is more than ten years: is it in seconds, as RFC 6749 section 5.1 has it?',
    );
  }
  return number;
}

/** Numbers from here on are milliseconds: as seconds they would lie beyond the year 5138. */
const FIRST_MS = 1e11;

// RFC 3339 section 5.6, the zone in it: without one nobody knows which is meant.
const RFC3339 = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:\d{2})$/;

/** RFC 3339, or epoch seconds or milliseconds (also as digits), to epoch ms; undefined = none of them. */
export function parseInstant(value: unknown): number | undefined {
  if (typeof value === 'string' && RFC3339.test(value)) {
    const at = Date.parse(value);
    return Number.isNaN(at) ? undefined : at;
  }
  const number = typeof value === 'string' && /^\d{9,14}$/.test(value) ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isFinite(number) || number <= 0) return undefined;
  return number < FIRST_MS ? number * 1_000 : number;
}
