// The keys of a source: files read anew when they changed, kept in memory for the overlap after their file went away.
import { createHash, createPublicKey, createSecretKey, type KeyObject } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { calculateJwkThumbprint } from 'jose';
import type { SigningKeyFile, SourceConfig } from '../../config/config.ts';
import type { PublicKey } from '../../credential/credential.ts';
import type { Clock } from '../../lib/clock.ts';
import { secretUnreadable } from '../../lib/errors.ts';
import { fileFault } from '../../lib/file-fault.ts';
import { createSecretReader } from '../../lib/secret-ref.ts';
import { createSigningKeyReader } from '../signing-key.ts';
import { nextSignerAt, publishedKeys, type RotatingKey, signingKey } from './key-rotation.ts';

type Config = Extract<SourceConfig, { type: 'signed_jwt' }>;

const MAX_FILES = 20;
/** RFC 7518 section 3.2: at least as long as the hash. */
const MIN_SECRET_BYTES = 32;

export interface SigningKeyEntry extends RotatingKey {
  readonly kid: string;
  readonly alg: string;
  readonly key: KeyObject;
  /** undefined = a secret, which is never published. */
  readonly jwk: PublicKey | undefined;
  goneAt: number | undefined;
  signedUntil: number;
}

export interface SigningKeys {
  /** The key to sign with now. Rejects with CredentialError when no file gives one. */
  signer(): Promise<SigningKeyEntry>;
  /** Until when the signer stays the same, epoch ms, if no file changes. */
  nextSignerAt(): number;
  published(): readonly PublicKey[];
  /** Folder and files, as of the last signer(). */
  files(): readonly string[];
}

export function createSigningKeys(config: Config, clock: Clock): SigningKeys {
  const { publishAheadMs } = config;
  let entries: SigningKeyEntry[] = [];
  let paths: readonly string[] = [];
  let started = false;

  async function list(): Promise<readonly SigningKeyFile[]> {
    if (config.keys.from === 'files') return config.keys.files;
    const folder = config.keys.path;
    // Kubernetes keeps its versions in folders that begin with "..".
    const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
      throw secretUnreadable(`${folder} cannot be read: ${fileFault(error)}`);
    });
    const visible = names.filter((name) => !name.startsWith('.')).sort();
    if (visible.length > MAX_FILES) throw secretUnreadable(`${folder} has more than ${MAX_FILES} files`);
    return visible.map((name) => ({ path: join(folder, name), kid: undefined }));
  }

  async function read({ path, kid }: SigningKeyFile): Promise<SigningKeyEntry> {
    const ref = { from: 'file', path } as const;
    const own = config.alg === 'HS256' ? await readSecret(ref, kid) : await readPrivate(ref, kid);
    const known = entries.find(
      ({ thumbprint, kid: other }) => thumbprint === own.thumbprint && other === own.kid,
    );
    if (known !== undefined) {
      known.goneAt = undefined;
      return known;
    }
    const now = clock.now();
    // A key that comes later has been published by nobody. One that was here at the start is as old as its file in this
    // place, so that a restart does not make it young: by ctime, since mtime survives a copy.
    const since = started ? now : Math.min((await stat(path)).ctimeMs, now);
    return { ...own, since, goneAt: undefined, signedUntil: 0 };
  }

  async function readPrivate(ref: { from: 'file'; path: string }, kid: string | undefined) {
    const alg = config.alg as Exclude<Config['alg'], 'HS256'>;
    const { key, alg: used, kid: named } = await createSigningKeyReader({ key: ref, kid, alg }, {}).read();
    const { kty, crv, x, y, n, e } = createPublicKey(key).export({ format: 'jwk' }) as Record<string, string>;
    // Named one by one: nothing of the private key can come along.
    const members = { kty, crv, x, y, n, e };
    const jwk = Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
    const thumbprint = await calculateJwkThumbprint(jwk);
    const id = named ?? thumbprint;
    return { thumbprint, kid: id, alg: used, key, jwk: { ...jwk, kid: id, use: 'sig', alg: used } };
  }

  async function readSecret(ref: { from: 'file'; path: string }, kid: string | undefined) {
    const secret = Buffer.from((await createSecretReader(ref, {}).read()).reveal());
    if (secret.length < MIN_SECRET_BYTES) {
      throw secretUnreadable(`${ref.path}: a secret for HS256 has at least ${MIN_SECRET_BYTES} bytes`);
    }
    // Never shown: the hash of a weak secret would give it away.
    const thumbprint = createHash('sha256').update(secret).digest('base64');
    const name = kid ?? basename(ref.path, extname(ref.path));
    return { thumbprint, kid: name, alg: 'HS256', key: createSecretKey(secret), jwk: undefined };
  }

  async function load(): Promise<void> {
    const files = await list();
    const folder = config.keys.from === 'directory' ? [config.keys.path] : [];
    paths = [...folder, ...files.map(({ path }) => path)];
    const present: SigningKeyEntry[] = [];
    let fault: unknown;
    for (const file of files) {
      try {
        const entry = await read(file);
        const twin = present.find(({ kid }) => kid === entry.kid);
        if (twin === undefined) present.push(entry);
        else if (twin !== entry) throw secretUnreadable(`${file.path}: another key has the kid ${entry.kid}`);
      } catch (error) {
        // One broken file does not take the others away.
        fault ??= error;
      }
    }
    // What is published stays so: whoever verifies has done nothing wrong.
    if (present.length === 0) throw fault ?? secretUnreadable('there is no key file');
    started = true;
    const now = clock.now();
    const gone = entries.filter((entry) => !present.includes(entry));
    for (const entry of gone) entry.goneAt ??= now;
    const kept = publishedKeys([...gone, ...present], now, publishAheadMs);
    entries = [...gone.filter((entry) => kept.includes(entry)), ...present];
  }

  return {
    async signer() {
      await load();
      return signingKey(entries, clock.now(), publishAheadMs)!;
    },
    nextSignerAt: () => nextSignerAt(entries, clock.now(), publishAheadMs),
    published: () =>
      publishedKeys(entries, clock.now(), publishAheadMs).flatMap(({ jwk }) =>
        jwk === undefined ? [] : [jwk],
      ),
    files: () => paths,
  };
}
