// One holder of a thing on a volume, by a Unix socket that the holder listens on: the kernel ends it with the process,
// whatever ended that, and no clock or process number is compared (every container has a process 1).
// It holds among the processes of one machine, also of several pods with one volume.
//
// Who wants it listens on a name of its own, then looks for others that listen, and steps back if there is one. Of two the
// one that listens last looks last and sees the other, so there are never two holders; that both step back is only a retry.
import { randomInt } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const PROBE_MS = 1_000;
const TRIES = 6;
const RETRY_MS = 50;
/** sun_path of the kernel, without the closing NUL. */
const MAX_PATH_BYTES = 107;
const SUFFIX_BYTES = 8;

export interface HolderLock {
  release(): Promise<void>;
}

/** Somebody else holds it, or it cannot be held there. `message` names the path. */
export class NotHeldError extends Error {
  override readonly name = 'NotHeldError';
}

/** Sockets named `PATH.NUMBER`. Rejects with NotHeldError. */
export async function acquireHolderLock(path: string): Promise<HolderLock> {
  if (Buffer.byteLength(path) > MAX_PATH_BYTES - SUFFIX_BYTES) {
    throw new NotHeldError(`the path ${path} is longer than ${MAX_PATH_BYTES - SUFFIX_BYTES} bytes`);
  }
  for (let i = 0; i < TRIES; i++) {
    if (i > 0) await sleep(randomInt(RETRY_MS));
    const name = `${path}.${randomInt(1_000_000)}`;
    const server = await listening(name);
    if (server === undefined) continue;
    const others = (await socketsOf(path)).filter((other) => other !== name);
    const held = await Promise.all(others.map(isHeld));
    if (!held.includes(true)) {
      // Before anybody can rely on us: while we clean up we are seen, so nobody else holds.
      await Promise.all(others.map((other) => rm(other, { force: true })));
      return { release: () => closed(server) };
    }
    await closed(server);
  }
  throw new NotHeldError(`another process holds ${path}`);
}

/** undefined = that name is taken. */
function listening(name: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.unref();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(new NotHeldError(`${name} cannot be made: ${error.code ?? 'unknown fault'}`));
    });
    server.listen(name, () => resolve(server));
  });
}

async function socketsOf(path: string): Promise<string[]> {
  const prefix = `${basename(path)}.`;
  const names = await readdir(dirname(path));
  return names
    .filter((name) => name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length)))
    .map((name) => join(dirname(path), name));
}

function isHeld(name: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(name);
    const end = (held: boolean) => {
      socket.destroy();
      resolve(held);
    };
    // A full backlog or silence is a living, if busy, holder.
    socket.setTimeout(PROBE_MS, () => end(true));
    socket.once('connect', () => end(true));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      end(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT');
    });
  });
}

/** Also removes its name. */
function closed(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
