// Faults of a call to a provider as CredentialError. Messages name the fault and quote nothing of the answer.
import { connectionFault, systemCode } from '../lib/connection-fault.ts';
import { CredentialError } from '../lib/errors.ts';

const TIMEOUTS = new Set([
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'ETIMEDOUT',
]);

/** The answer (of a provider or a file) is not what it should be. */
export function invalidResponse(message: string, cause?: unknown): CredentialError {
  return new CredentialError('source_invalid_response', message, { retryable: true, cause });
}

/** A call that got no answer, or none that could be read; `expected` ends the message of the latter. */
export function toTransportError(error: unknown, expected: string): CredentialError {
  if (error instanceof CredentialError) return error;
  const refused = proxyRefusal(error);
  if (refused !== undefined) {
    return new CredentialError('source_unavailable', `the proxy of HTTPS_PROXY answered ${refused}`, {
      retryable: true,
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
    return invalidResponse(`the answer is no ${expected} (${code ?? name})`, error);
  }
  return new CredentialError(
    'source_unavailable',
    `the provider cannot be reached ${connectionFault(code)}`,
    {
      retryable: true,
      cause: error,
    },
  );
}

/** Cannot be reached, does not answer in time, 5xx, 429, or its breaker is open. */
export function isAway(error: unknown): error is CredentialError {
  return (
    error instanceof CredentialError &&
    (error.code === 'source_unavailable' || error.code === 'source_timeout')
  );
}

const NEVER_SENT = new Set([
  'EAI_AGAIN',
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** Whether the request certainly did not reach the provider: there was no connection. */
export function wasNeverSent(error: CredentialError): boolean {
  const code = systemCode(error.cause);
  return code !== undefined && NEVER_SENT.has(code);
}

/** Status with which a proxy refused the tunnel: undici has no code for it but that of a call that its caller ended. */
function proxyRefusal(error: unknown): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    const status = /^Proxy response \((\d{3})\)/.exec(at.message)?.[1];
    if (status !== undefined) return status;
  }
  return undefined;
}
