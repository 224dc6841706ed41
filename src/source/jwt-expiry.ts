// When a token says that it ends, and that it was issued. It is read and not verified: the upstream verifies, we only must not outlive it.
import { decodeJwt } from 'jose';

/** `exp` in epoch milliseconds; undefined when the token is no JWT or has none. */
export function expiryOf(token: string): number | undefined {
  return timeOf(token, 'exp');
}

/** `iat`, likewise. */
export function issuedAtOf(token: string): number | undefined {
  return timeOf(token, 'iat');
}

function timeOf(token: string, claim: 'exp' | 'iat'): number | undefined {
  if (token.split('.').length !== 3) return undefined;
  try {
    const { [claim]: seconds } = decodeJwt(token);
    return typeof seconds === 'number' && Number.isFinite(seconds) ? seconds * 1_000 : undefined;
  } catch {
    return undefined;
  }
}
