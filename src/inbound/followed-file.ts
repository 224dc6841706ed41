// A file whose content decides who may call, looked at four times a second.
import { readFile, stat } from 'node:fs/promises';
import { fileFault } from '../lib/file-fault.ts';
import { createFollowed, type Followed, type FollowedOptions, type Reading } from './followed.ts';

const EVERY_MS = 250;
/** More must not be carried into a sidecar's memory, from wherever. */
export const MAX_FOLLOWED_BYTES = 32 << 20;

export interface FollowedFileOptions extends Omit<FollowedOptions, 'everyMs' | 'read'> {
  readonly path: string;
}

export function createFollowedFile({ path, ...options }: FollowedFileOptions): Followed {
  /** Whatever comes back has to be read. */
  let wasAway = false;

  async function read(known: string): Promise<Reading> {
    // Before the content: what is written between the two is seen as a change next time.
    const s = await stat(path, { bigint: true });
    const version = `${s.dev}:${s.ino}:${s.size}:${s.mtimeNs}:${s.ctimeNs}`;
    if (version === known && !wasAway) return { version, text: undefined };
    // A pipe would hold us, and a thread, until somebody writes to it.
    if (!s.isFile()) throw new Error('it is no file');
    if (s.size > BigInt(MAX_FOLLOWED_BYTES)) throw new Error(`larger than ${MAX_FOLLOWED_BYTES} bytes`);
    const text = await readFile(path, 'utf8');
    wasAway = false;
    return { version, text };
  }

  return createFollowed({
    ...options,
    everyMs: EVERY_MS,
    read: (known) =>
      read(known).catch((error: NodeJS.ErrnoException) => {
        wasAway = true;
        throw error.code === undefined ? error : new Error(`cannot be read: ${fileFault(error)}`);
      }),
  });
}
