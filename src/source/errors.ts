// One converter from whatever a provider call threw to a CredentialError. Messages name the fault and quote at most an
// error code of RFC 6749: descriptions and bodies may hold anything.
import { ResponseBodyError, WWWAuthenticateChallengeError } from 'oauth4webapi';
import { CredentialError } from '../lib/errors.ts';
import { toTransportError } from '../provider-http/errors.ts';

/** What to look at first, by the code of RFC 6749 section 5.2 and RFC 8707 section 2. */
const LOOK_AT: ReadonlyMap<string, string> = new Map([
  [
    'invalid_client',
    'are client_id and what the client proves itself by (secret, key, kid) those that the provider has?',
  ],
  // Keycloak says so of a wrong secret, too.
  ['unauthorized_client', 'may the client use this grant, and is its secret or key right?'],
  ['unsupported_grant_type', 'does the provider know this grant?'],
  ['invalid_scope', 'does the provider give this client all of scope?'],
  ['invalid_target', 'does the provider know this audience or resource?'],
]);

/** What is answered at addresses where no token endpoint is. */
const NOT_THERE: ReadonlySet<number> = new Set([404, 405, 406]);

/** The error code of RFC 6749 section 5.2 behind a CredentialError, e.g. invalid_grant; undefined = it was none. */
export function oauthErrorOf(error: unknown): string | undefined {
  const cause = error instanceof CredentialError ? error.cause : undefined;
  return cause instanceof ResponseBodyError ? cause.error : undefined;
}

/** `oddity`: what may be why a refusal came. */
export function toCredentialError(error: unknown, oddity?: string): CredentialError {
  if (error instanceof ResponseBodyError) {
    const code = /^[a-z_]{1,64}$/.test(error.error) ? error.error : 'an error';
    const transient = code === 'temporarily_unavailable' || code === 'slow_down';
    const hint =
      oddity ??
      LOOK_AT.get(code) ??
      (NOT_THERE.has(error.status) ? 'is this the token endpoint?' : undefined);
    const said = `the provider answered ${error.status}: ${code}${hint === undefined ? '' : `; ${hint}`}`;
    return new CredentialError('source_rejected', said, {
      retryable: transient,
      cause: error,
    });
  }
  if (error instanceof WWWAuthenticateChallengeError) {
    return new CredentialError('source_rejected', `the provider answered ${error.status} with a challenge`, {
      retryable: false,
      cause: error,
    });
  }
  return toTransportError(error, 'token response');
}
