// One converter from whatever a provider call threw to a CredentialError. Messages name the fault and quote at most an
// error code of RFC 6749: descriptions and bodies may hold anything.
import { ResponseBodyError, WWWAuthenticateChallengeError } from 'oauth4webapi';
import { CredentialError } from '../lib/errors.ts';
import { toTransportError } from '../provider-http/errors.ts';

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
    const said = `the provider answered ${error.status}: ${code}${oddity === undefined ? '' : `; ${oddity}`}`;
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
