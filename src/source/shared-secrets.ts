// One secret that sources of two environments use: whoever takes it in one has it in the other. Told, not refused: only its
// owner knows whether that is meant. Secrets are compared by value, so that two copies count too.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SecretRef, SourceConfig } from '../config/config.ts';
import { parseKeyRing } from '../key-ring/ring.ts';
import { Secret } from '../lib/secret.ts';
import { createSecretReader } from '../lib/secret-ref.ts';

export type SharedSecret = readonly [source: string, other: string];

/** What cannot be read now is left out. */
export async function findSharedSecrets(
  sources: readonly SourceConfig[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<readonly SharedSecret[]> {
  const owners = new Map<string, SourceConfig>();
  const shared: SharedSecret[] = [];
  for (const source of sources) {
    if (source.environment === undefined) continue;
    for (const ref of await allRefs(source)) {
      const secret = await createSecretReader(ref, env)
        .read()
        .catch(() => undefined);
      if (secret === undefined) continue;
      const value = secret.reveal();
      const owner = owners.get(value);
      if (owner === undefined) owners.set(value, source);
      else if (owner.environment !== source.environment) shared.push([owner.name, source.name]);
    }
  }
  return shared;
}

/** With the files that a source finds by itself: keys of a ring, signing keys of a folder. */
async function allRefs(source: SourceConfig): Promise<readonly SecretRef[]> {
  const refs = secretRefs(source);
  const file = (path: string): SecretRef => ({ from: 'file', path });
  try {
    if (source.type === 'api_keys') {
      const ring = parseKeyRing(await readFile(source.ring, 'utf8'), source.ring);
      return [...refs, ...ring.map(({ file: path }) => file(path))];
    }
    if (source.type === 'signed_jwt' && source.keys.from === 'files') {
      return [...refs, ...source.keys.files.map(({ path }) => file(path))];
    }
    if (source.type === 'signed_jwt' && source.keys.from === 'directory') {
      const folder = source.keys.path;
      const names = (await readdir(folder)).filter((name) => !name.startsWith('.'));
      return [...refs, ...names.map((name) => file(join(folder, name)))];
    }
  } catch {
    // Told by the source itself when it is read.
  }
  return refs;
}

/** Every reference below the source's settings, and the token of a file source. */
function secretRefs(value: unknown): SecretRef[] {
  if (typeof value !== 'object' || value === null || value instanceof Secret) return [];
  const { from, type, path } = value as { from?: unknown; type?: unknown; path?: unknown };
  if (from === 'file' || from === 'env' || from === 'inline') return [value as SecretRef];
  if (type === 'file' && typeof path === 'string') return [{ from: 'file', path }];
  return Object.values(value).flatMap(secretRefs);
}
