// Binds a Unix socket so that only the intended peers may connect: a token can be read by whoever may open the socket.
// Removes what a dead process left behind, and nothing else.
import { chmodSync, chownSync, lstatSync, readFileSync, unlinkSync } from 'node:fs';
import { connect, type Server } from 'node:net';
import { dirname } from 'node:path';
import type { UnixAddress } from '../lib/address.ts';

/** sun_path holds 108 bytes with the closing NUL; the kernel's own message names neither path nor limit. */
const MAX_PATH_BYTES = 107;
const PROBE_TIMEOUT_MS = 1_000;
const ONLY_US = 0o177;

/**
 * Listens on `address`; resolves with `unix://` and the path. Rejects with an Error that names the path and what to
 * change: missing directory, a living server, a file that is no socket, an unknown group.
 */
export async function listenOnUnixSocket(server: Server, address: UnixAddress): Promise<string> {
  const { path } = address;
  if (!path.startsWith('/')) {
    // An abstract socket has no file and so no permissions at all.
    throw new Error(`socket ${path}: a path from the root is needed, e.g. /run/bearerd/check.sock`);
  }
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) {
    throw new Error(`socket ${path}: the path is longer than ${MAX_PATH_BYTES} bytes`);
  }
  if (lstatSync(dirname(path), { throwIfNoEntry: false }) === undefined) {
    throw new Error(
      `socket ${path}: the directory ${dirname(path)} does not exist: create it, or name another path`,
    );
  }
  const gid = address.group === undefined ? undefined : groupId(address.group, path);
  await removeStaleSocket(path);
  await bind(server, path);
  try {
    if (gid !== undefined) chownSync(path, process.getuid?.() ?? -1, gid);
    // Last: until here nobody else could connect.
    chmodSync(path, address.mode);
  } catch (error) {
    server.close();
    throw new Error(`socket ${path}: mode or group could not be set (${codeOf(error)})`);
  }
  return `unix://${path}`;
}

function bind(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error) => {
      const why = codeOf(error) === 'EACCES' ? `: this user may not write into ${dirname(path)}` : '';
      reject(new Error(`socket ${path}: cannot listen (${codeOf(error)})${why}`));
    };
    server.once('error', failed);
    // listen() on a path binds before it returns, so the mask of the whole process is changed for this one call only.
    const before = process.umask(ONLY_US);
    try {
      server.listen(path, () => {
        server.removeListener('error', failed);
        resolve();
      });
    } finally {
      process.umask(before);
    }
  });
}

async function removeStaleSocket(path: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket()) throw new Error(`socket ${path}: there is a file that is not a socket`);
  const answer = await probe(path);
  if (answer === 'listening') throw new Error(`socket ${path}: another process listens on it`);
  if (answer === 'ENOENT') return;
  if (answer !== 'ECONNREFUSED') throw new Error(`socket ${path}: exists and cannot be examined (${answer})`);
  unlinkSync(path);
}

/** 'listening', or the code of the failed connect. */
function probe(path: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const end = (answer: string) => {
      socket.destroy();
      resolve(answer);
    };
    // A full backlog means a living, if busy, server.
    socket.setTimeout(PROBE_TIMEOUT_MS, () => end('listening'));
    socket.once('connect', () => end('listening'));
    socket.once('error', (error) => end(codeOf(error) === 'EAGAIN' ? 'listening' : codeOf(error)));
  });
}

function groupId(group: string | number, path: string): number {
  if (typeof group === 'number') return group;
  const line = readFileSync('/etc/group', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith(`${group}:`));
  const gid = Number(line?.split(':')[2]);
  if (line === undefined || !Number.isInteger(gid)) {
    throw new Error(`socket ${path}: there is no group "${group}" on this machine`);
  }
  return gid;
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
}
