// Secrets by reference. Read anew for every fetch, so that a rotated file counts at once.
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { SecretRef } from '../config/config.ts';
import { CredentialError, secretUnreadable } from './errors.ts';
import { fileFault } from './file-fault.ts';
import { Secret } from './secret.ts';

const MAX_BYTES = 64 << 10;

export interface SecretReader {
  /** Rejects with CredentialError secret_unreadable. */
  read(): Promise<Secret>;
  /** To watch; undefined when it is no file. */
  readonly file: string | undefined;
}

export function createSecretReader(
  ref: SecretRef,
  env: Readonly<Record<string, string | undefined>>,
): SecretReader {
  switch (ref.from) {
    case 'inline':
      return { read: () => Promise.resolve(ref.value), file: undefined };
    case 'env':
      return {
        async read() {
          const value = env[ref.name];
          if (!value) throw secretUnreadable(`the environment variable ${ref.name} is missing or empty`);
          return new Secret(value);
        },
        file: undefined,
      };
    case 'file':
      return {
        read: async () => new Secret((await readSecretFile(ref.path)).replace(/[\r\n]+$/, '')),
        file: ref.path,
      };
  }
}

/** Text of the file. Rejects with CredentialError secret_unreadable, also when it is empty or far too large. */
export async function readSecretFile(path: string): Promise<string> {
  let text: string;
  try {
    // A pipe in its place must not hold us, and a thread, until somebody writes to it.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      // A length that was asked for before may be another's: read up to the bound and one byte more.
      const buffer = Buffer.alloc(MAX_BYTES + 1);
      const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
      if (bytesRead > MAX_BYTES) throw secretUnreadable(`${path} is larger than ${MAX_BYTES} bytes`);
      text = buffer.toString('utf8', 0, bytesRead);
      buffer.fill(0);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof CredentialError) throw error;
    throw secretUnreadable(`${path} cannot be read: ${fileFault(error)}`);
  }
  if (text.trim() === '') throw secretUnreadable(`${path} is empty`);
  return text;
}
