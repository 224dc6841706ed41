// When a token says that it ends. It is read and not verified: the upstream verifies, we only must not outlive it.
import { decodeJwt } from 'jose';

/** `exp` in epoch milliseconds; undefined when the token is no JWT or has none. */
export function expiryOf(token: string): number | undefined {
  if (token.split('.').length !== 3) return undefined;
  try {
    const { exp } = decodeJwt(token);
    return typeof exp === 'number' && Number.isFinite(exp) ? exp * 1_000 : undefined;
  } catch {
    return undefined;
  }
}
