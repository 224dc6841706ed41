// The closed set of ways in which a credential can be missing, cut by what the caller does about it.
// The same strings are the metric's `reason`, the denial's machine-readable reason and the log field.
import { printable } from './printable.ts';

/** Codes are closed: a new one needs a row in the answer table of every door. */
export type CredentialErrorCode =
  | 'source_timeout' // the provider did not answer in time
  | 'source_unavailable' // could not connect, 5xx, 429
  | 'source_rejected' // the provider understood and said no (invalid_client, invalid_scope, ...)
  | 'source_invalid_response' // the answer was not a usable token
  | 'secret_unreadable' // a referenced file or variable is missing or empty
  | 'store_unavailable' // where a refresh token is kept cannot be read, written or held
  | 'login_required' // there is no refresh token that the provider takes: a person must log in (bearerd login)
  | 'credential_pending' // a fetch is under way and did not end within the caller's wait
  | 'credential_expired' // there was one; it may not be used any more
  | 'subject_missing' // the request has no subject token, and the policy's credential is made from it
  | 'subject_malformed' // the subject token's header came twice, or holds no token
  | 'subject_rejected' // the provider refused this subject, not the client
  | 'proof_unavailable' // the request has to be signed, and cannot be: no key, or a door that does not sign
  | 'first_fetch_limited'; // more new subjects a second than the provider may be asked for

export interface CredentialErrorOptions {
  readonly retryable: boolean;
  readonly cause?: unknown;
  /** Wait told by the provider (Retry-After), milliseconds. */
  readonly retryAfterMs?: number;
}

/**
 * A credential could not be had. `message` is for our own log: it names the setting or the fault and never quotes a
 * secret, a token or a reply's body. Neither `message` nor `cause` ever reaches a peer.
 */
export class CredentialError extends Error {
  override readonly name = 'CredentialError';
  readonly code: CredentialErrorCode;
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;

  constructor(code: CredentialErrorCode, message: string, options: CredentialErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable;
    this.retryAfterMs = options.retryAfterMs;
    // A cause may hold a reply with a token in it: it must not be enumerable for loggers.
    if (options.cause !== undefined) Object.defineProperty(this, 'cause', { enumerable: false });
  }
}

/** A secret, or the place that it is kept in, is not as it should be: once somebody mended it, the next try is well. */
export function secretUnreadable(message: string): CredentialError {
  return new CredentialError('secret_unreadable', message, { retryable: true });
}

/** One problem of a configuration file, exact enough to be mended without reading the docs. */
export interface ConfigProblem {
  /** Where a configuration is several files; default: that of the ConfigError. */
  readonly file?: string | undefined;
  /** Path inside the document, e.g. `sources.orders.client_credentials.issuer`. */
  readonly path: string;
  /** 1-based; undefined where the problem has no place in the file. */
  readonly line: number | undefined;
  readonly column: number | undefined;
  /** What is wrong and what was expected. Never a secret's value. */
  readonly message: string;
}

/** `FILE:LINE:COLUMN: path: message` in one line, from FILE to COLUMN only where a configuration is several files. */
export function problemText({ file, line, column, path, message }: ConfigProblem): string {
  const place = file === undefined || line === undefined ? '' : `${file}:${line}:${column}: `;
  // A key or a value may be quoted in it.
  return printable(`${place}${path === '' ? '' : `${path}: `}${message}`);
}

/** Every problem of a configuration at once. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly file: string;
  readonly problems: readonly ConfigProblem[];

  constructor(file: string, problems: readonly ConfigProblem[]) {
    super(`${file}: ${problems.length} problem${problems.length === 1 ? '' : 's'} in the configuration`);
    this.file = file;
    this.problems = problems;
  }
}
