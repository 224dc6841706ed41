// What a token is bound to (RFC 7800 `cnf`). It is read and not verified: the upstream verifies.
import { decodeJwt } from 'jose';

/** `unknown`: the token is no JWT, so that only the provider knows. */
export function confirmationOf(token: string): 'certificate' | 'key' | 'none' | 'unknown' {
  try {
    const { cnf } = decodeJwt(token) as { cnf?: Readonly<Record<string, unknown>> };
    if (cnf?.['x5t#S256'] !== undefined) return 'certificate';
    return cnf?.['jkt'] === undefined ? 'none' : 'key';
  } catch {
    return 'unknown';
  }
}
