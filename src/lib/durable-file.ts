// A file that is old or new, never half of either, and still new after the power went: written beside, synced, renamed,
// and the directory synced, since a rename alone may be forgotten.
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * `mode`: permission bits, default 0600. `owner`: default ourselves. Rejects with the fault of the file system; the old content
 * stands then.
 */
export async function writeDurably(
  path: string,
  text: string,
  mode = 0o600,
  owner?: { readonly uid: number; readonly gid: number },
): Promise<void> {
  const next = `${path}.new`;
  const file = await open(next, 'w', mode);
  try {
    if (owner !== undefined) await file.chown(owner.uid, owner.gid);
    // The umask may have taken bits away.
    await file.chmod(mode);
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(next, path);
  await syncDirectory(path);
}

/** Gone, also after the power went. */
export async function removeDurably(path: string): Promise<void> {
  await rm(path, { force: true });
  await syncDirectory(path);
}

async function syncDirectory(path: string): Promise<void> {
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
