// Faults of a call to a provider as CredentialError. Messages name the fault and quote nothing of the answer.
import { CredentialError } from '../lib/errors.ts';

const TIMEOUTS = new Set([
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'ETIMEDOUT',
]);

const NO_TRUST = 'no known authority signed its certificate: name a private one in ca_file';

const MEANINGS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'its certificate has ended',
  DEPTH_ZERO_SELF_SIGNED_CERT: NO_TRUST,
  EAI_AGAIN: 'the name server does not answer',
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'there is no host of this name',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it speaks no TLS at this port',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name',
  SELF_SIGNED_CERT_IN_CHAIN: NO_TRUST,
  UNABLE_TO_GET_ISSUER_CERT: NO_TRUST,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: NO_TRUST,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: NO_TRUST,
};

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
  const why = Object.hasOwn(MEANINGS, code) ? `: ${MEANINGS[code]}` : '';
  return new CredentialError('source_unavailable', `the provider cannot be reached (${code})${why}`, {
    retryable: true,
    cause: error,
  });
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

function systemCode(error: unknown): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code } = at as NodeJS.ErrnoException;
    if (typeof code === 'string' && /^[A-Z0-9_]{2,64}$/.test(code)) return code;
  }
  return undefined;
}
