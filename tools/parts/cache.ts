// The user's cache of real parts (Envoy, …): each entry is made once, appears whole or not at all, and is shared by all
// checkouts of this user. It must not know what an entry holds.
import { mkdir, mkdtemp, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** `${XDG_CACHE_HOME:-~/.cache}/bearerd`. */
export function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'bearerd');
}

const LOCK_WAIT_MS = 300_000;

/**
 * Path of the cache entry `name`, made by `make(folder)` when it is not there yet. `make` fills a temporary folder that
 * is renamed when it is complete, so that a broken download never looks like a part.
 */
export async function cached(name: string, make: (folder: string) => Promise<void>): Promise<string> {
  const root = cacheFolder();
  const target = join(root, name);
  if (await exists(target)) return target;
  await mkdir(root, { recursive: true });
  const unlock = await lock(`${target}.lock`);
  try {
    // Another process may have made it while this one waited.
    if (await exists(target)) return target;
    const temporary = await mkdtemp(`${target}.part-`);
    try {
      await make(temporary);
      await rename(temporary, target);
    } finally {
      await rm(temporary, { recursive: true, force: true });
    }
    return target;
  } finally {
    await unlock();
  }
}

/** A file made with O_EXCL that names its owner, so that the lock of a killed process is not waited for. */
async function lock(path: string): Promise<() => Promise<void>> {
  const deadline = Date.now() + LOCK_WAIT_MS;
  for (;;) {
    try {
      const handle = await open(path, 'wx');
      await handle.writeFile(String(process.pid));
      await handle.close();
      return () => rm(path, { force: true });
    } catch (error) {
      if (!isCode(error, 'EEXIST')) throw error;
    }
    if (await isAbandoned(path)) await rm(path, { force: true });
    else if (Date.now() > deadline) {
      throw new Error(
        `waited ${LOCK_WAIT_MS / 1000} s for another download: remove ${path} if none is running`,
      );
    } else await sleep(200);
  }
}

async function isAbandoned(path: string): Promise<boolean> {
  const [owner, age] = await Promise.all([
    readFile(path, 'utf8').catch(() => ''),
    stat(path).then(
      (s) => Date.now() - s.mtimeMs,
      () => 0,
    ),
  ]);
  // Between open and writeFile the file is empty for an instant.
  if (owner === '') return age > 5_000;
  try {
    process.kill(Number(owner), 0);
    return false;
  } catch (error) {
    return isCode(error, 'ESRCH');
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
