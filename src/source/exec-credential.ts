// ExecCredential of Kubernetes (client.authentication.k8s.io), as a credential plugin of kubectl prints it.
import { Secret } from '../lib/secret.ts';
import { JsonFault, parseStrictJson } from '../lib/strict-json.ts';
import { invalidResponse } from '../provider-http/errors.ts';
import { parseInstant } from './token-lifetime.ts';

const VERSIONS = ['client.authentication.k8s.io/v1', 'client.authentication.k8s.io/v1beta1'];

export interface ExecCredential {
  readonly token: Secret;
  /** Epoch ms; undefined = the program names no end. */
  readonly expiresAt: number | undefined;
}

/** What a plugin finds in KUBERNETES_EXEC_INFO: which version to print, and that nobody can be asked. */
export const EXEC_INFO = JSON.stringify({
  apiVersion: VERSIONS[0],
  kind: 'ExecCredential',
  spec: { interactive: false },
});

/** Throws CredentialError source_invalid_response; nothing of the output is quoted. */
export function parseExecCredential(output: string): ExecCredential {
  const { apiVersion, kind, status } = object(parsedOutput(output), 'the output');
  if (kind !== 'ExecCredential') refuse('kind is not ExecCredential');
  if (!VERSIONS.includes(apiVersion as string)) refuse(`apiVersion is not ${VERSIONS[0]}`);
  const { token, expirationTimestamp } = object(status, 'status');
  if (typeof token !== 'string' || token === '') {
    return refuse('status.token is missing or empty; client certificates are not used');
  }
  if (expirationTimestamp === undefined || expirationTimestamp === null) {
    return { token: new Secret(token), expiresAt: undefined };
  }
  const expiresAt = typeof expirationTimestamp === 'string' ? parseInstant(expirationTimestamp) : undefined;
  if (expiresAt === undefined) return refuse('status.expirationTimestamp is no RFC 3339 time');
  return { token: new Secret(token), expiresAt };
}

function parsedOutput(output: string): unknown {
  try {
    return parseStrictJson(output);
  } catch (error) {
    if (!(error instanceof JsonFault)) throw error;
    return refuse(error.message);
  }
}

function object(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) refuse(`${what} is no object`);
  return value as Readonly<Record<string, unknown>>;
}

function refuse(why: string): never {
  throw invalidResponse(`the program printed no ExecCredential: ${why}`);
}
