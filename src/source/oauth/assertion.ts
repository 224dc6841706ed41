// Assertions (RFC 7521): signed statements about this workload or its user, which a provider takes as a client's proof or
// changes for a token.
import type { AuthorizationServer } from 'oauth4webapi';
import type { Secret } from '../../lib/secret.ts';

/** Who hands them out. */
export interface AssertionProvider {
  /** A JWT that has not ended, for this provider. Rejects with CredentialError. */
  assertion(server: AuthorizationServer, signal: AbortSignal): Promise<Secret>;
  /** To watch. */
  readonly files: readonly string[];
}
