// What an entry is found by: everything that makes two token requests the same, as a hash. What is not covered here is not
// shared at all.
import { hash, type ScryptOptions, scrypt } from 'node:crypto';
import { promisify } from 'node:util';
import type { SecretRef, SourceConfig } from '../config/config.ts';
import type { Subject, TokenSource } from '../credential/credential.ts';
import { createSecretReader } from '../lib/secret-ref.ts';

const slowHash = promisify<string, string, number, ScryptOptions, Buffer>(scrypt);
/** 4 MiB for 10 ms, once a secret. */
const SLOW = { N: 4_096, r: 8, p: 1 };
/** Of secrets in use and their predecessors. */
const MAX_HASHES = 1_000;

const REFERENCES: ReadonlySet<unknown> = new Set(['file', 'env', 'inline'] satisfies SecretRef['from'][]);

/** Differs between processes without a difference in the token: names, places of files, limits of this process. */
const LOCAL: ReadonlySet<string> = new Set(['name', 'required', 'caFile', 'clientAssertion', 'fallback']);

export interface EntryNames {
  readonly entry: string;
  readonly lease: string;
  readonly fences: string;
  /** Hashes: of the credential, and of its source, which has one for each subject. */
  readonly credential: string;
  readonly source: string;
}

/** Keys of one entry. Throws TypeError for a subject's token without its subject. */
export function entryNames(
  tenant: string,
  identity: string,
  source: Pick<TokenSource, 'name' | 'perSubject'>,
  subject: Subject | undefined,
): EntryNames {
  if (source.perSubject !== (subject !== undefined)) {
    throw new TypeError(
      `source ${source.name}: a token of one user is never shared without the user in its name`,
    );
  }
  const what = JSON.stringify([identity, subject?.key ?? null]);
  const base = baseName(tenant, what);
  return {
    ...{ entry: `${base}:entry`, lease: `${base}:lease`, fences: `${base}:fences` },
    ...{ credential: hashOf(what), source: hashOf(identity) },
  };
}

/** One hash tag, so that all names with it are in one slot of a cluster. */
export function baseName(tenant: string, what: string): string {
  return `bearerd:${tenant}:{${hashOf(what)}}`;
}

const hashOf = (what: string): string => hash('sha256', what, 'base64url');

export type SecretHash = (ref: SecretRef) => Promise<string>;

/** A slow hash of what a reference leads to now. Rejects with CredentialError. */
export function createSecretHash(
  env: Readonly<Record<string, string | undefined>>,
  tenant: string,
): SecretHash {
  const hashes = new Map<string, Promise<string>>();

  async function hashOf(text: string): Promise<string> {
    // Whoever lists the keys of Redis must not try out weak secrets a billion a second.
    return (await slowHash(text, `bearerd ${tenant}`, 16, SLOW)).toString('base64url');
  }

  return async (ref) => {
    const text = (await createSecretReader(ref, env).read()).reveal();
    const known = hashes.get(text) ?? hashOf(text);
    if (hashes.size >= MAX_HASHES) hashes.clear();
    hashes.set(text, known);
    return known;
  };
}

/**
 * Provider, client, authentication method, scope, audience, resource and what else the configuration states, with each
 * secret as its hash: a rotated secret is another identity. Not by the sealing keys: while they are rotated, processes
 * with the old and the new ones still share. Rejects with CredentialError.
 */
export async function identityOf(config: SourceConfig, secretHash: SecretHash): Promise<string> {
  const covered = async (value: unknown): Promise<unknown> => {
    if (Array.isArray(value)) return Promise.all(value.map(covered));
    if (typeof value !== 'object' || value === null) return value ?? null;
    if ('from' in value && REFERENCES.has(value.from)) return secretHash(value as SecretRef);
    const entries = Object.entries(value).filter(([name]) => !LOCAL.has(name));
    return Promise.all(entries.sort().map(async ([name, inner]) => [name, await covered(inner)]));
  };
  // Two sources of one client may have the logins of two persons: only the name tells them apart.
  const login = config.type === 'refresh_token' ? config.name : null;
  return JSON.stringify([await covered(config), login]);
}
