// One converter from whatever a provider call threw to a CredentialError. Messages name the fault and quote at most an
// error code of RFC 6749: descriptions and bodies may hold anything.
import { ResponseBodyError, WWWAuthenticateChallengeError } from 'oauth4webapi';
import { CredentialError } from '../lib/errors.ts';

const TIMEOUTS = new Set([
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'ETIMEDOUT',
]);

/** The answer (of a provider or a file) is no usable token. */
export function invalidResponse(message: string, cause?: unknown): CredentialError {
  return new CredentialError('source_invalid_response', message, { retryable: true, cause });
}

export function toCredentialError(error: unknown): CredentialError {
  if (error instanceof CredentialError) return error;
  if (error instanceof ResponseBodyError) {
    const code = /^[a-z_]{1,64}$/.test(error.error) ? error.error : 'an error';
    const transient = code === 'temporarily_unavailable' || code === 'slow_down';
    return new CredentialError('source_rejected', `the provider answered ${error.status}: ${code}`, {
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
  const name = error instanceof Error ? error.name : '';
  const code = systemCode(error);
  if (name === 'AbortError' || name === 'TimeoutError' || (code !== undefined && TIMEOUTS.has(code))) {
    return new CredentialError('source_timeout', `no answer in time${code ? ` (${code})` : ''}`, {
      retryable: true,
      cause: error,
    });
  }
  // What oauth4webapi refuses to read has a code of its own.
  if (code === undefined || code.startsWith('OAUTH_')) {
    return invalidResponse(`the answer is no token response (${code ?? name})`, error);
  }
  return new CredentialError('source_unavailable', `the provider cannot be reached (${code})`, {
    retryable: true,
    cause: error,
  });
}

function systemCode(error: unknown): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code } = at as NodeJS.ErrnoException;
    if (typeof code === 'string' && /^[A-Z0-9_]{2,64}$/.test(code)) return code;
  }
  return undefined;
}
