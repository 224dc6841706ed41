// A file of audit lines: appended, synced, exchanged for a new one by size and by day, and removed after its time.
import { constants } from 'node:fs';
import { type FileHandle, lstat, open, readdir, rename, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Clock } from '../../lib/clock.ts';

const { O_RDWR, O_CREAT, O_APPEND, O_NOFOLLOW, O_NONBLOCK } = constants;
const DAY_MS = 86_400_000;
/** Longest line that readLastLine looks for. */
const MAX_LINE_BYTES = 64 << 10;

export interface AuditFile {
  /** Appends whole lines and syncs them to the disk. What was written half by a failure is cut off first. */
  append(lines: string): Promise<void>;
  /** The last whole line, or undefined where there is none. */
  lastLine(): Promise<string | undefined>;
  close(): Promise<void>;
}

export interface AuditFileOptions {
  readonly path: string;
  /** A new file begins above this, bytes. */
  readonly rotateBytes: number;
  /** Files of earlier days are removed after this, days. */
  readonly keepDays: number;
  readonly clock: Clock;
}

export function createAuditFile({ path, rotateBytes, keepDays, clock }: AuditFileOptions): AuditFile {
  let handle: FileHandle | undefined;
  /** Length up to the last line that was written whole. */
  let size = 0;
  let day = 0;

  async function opened(): Promise<FileHandle> {
    if (handle !== undefined) return handle;
    // Readable by its owner alone: it names callers and paths. Of a link (ELOOP) the half line of another file would be cut.
    handle = await open(path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK, 0o600);
    const { size: length, mtimeMs } = await handle.stat();
    size = await endOfLastLine(handle, length);
    if (size < length) await handle.truncate(size);
    day = Math.floor((size === 0 ? clock.now() : mtimeMs) / DAY_MS);
    return handle;
  }

  /** Whoever removed, moved or cut the file took no lines of later with it. */
  async function letGo(): Promise<void> {
    if (handle === undefined) return;
    const [own, there] = [await handle.stat(), await lstat(path).catch(() => undefined)];
    if (own.ino === there?.ino && own.dev === there.dev && own.size === size) return;
    await handle.close();
    handle = undefined;
  }

  async function rotate(): Promise<void> {
    const today = Math.floor(clock.now() / DAY_MS);
    if (size === 0) day = today;
    if (size === 0 || (size < rotateBytes && day === today)) return;
    await handle?.close();
    handle = undefined;
    await rename(path, await nextName(path, new Date(clock.now()).toISOString().slice(0, 10)));
    await removeOld();
  }

  async function removeOld(): Promise<void> {
    const folder = dirname(path);
    for (const name of await rotatedFiles(path)) {
      const { mtimeMs } = await stat(join(folder, name));
      if (clock.now() - mtimeMs > keepDays * DAY_MS) await unlink(join(folder, name));
    }
  }

  return {
    async append(lines) {
      await letGo();
      await opened();
      await rotate();
      const file = await opened();
      const bytes = Buffer.from(lines);
      try {
        await file.writeFile(bytes);
        await file.datasync();
        size += bytes.length;
      } catch (error) {
        // Half a line must not become the beginning of the next one.
        await file.truncate(size).catch(() => {});
        await file.close().catch(() => {});
        handle = undefined;
        throw error;
      }
    },
    async lastLine() {
      const file = await opened();
      if (size === 0) return undefined;
      const from = Math.max(0, size - MAX_LINE_BYTES);
      const buffer = Buffer.alloc(size - from - 1);
      await file.read(buffer, 0, buffer.length, from);
      return buffer.toString('utf8').split('\n').at(-1);
    },
    async close() {
      await handle?.close();
      handle = undefined;
    },
  };
}

/** Names of the files before the current one, oldest first: NAME-2026-11-25.1.jsonl for NAME.jsonl. */
export async function rotatedFiles(path: string): Promise<readonly string[]> {
  return (await rotated(path)).map(({ name }) => name);
}

interface Rotated {
  readonly name: string;
  readonly date: string;
  readonly number: number;
}

async function rotated(path: string): Promise<readonly Rotated[]> {
  const { stem, extension } = parts(path);
  const names: Rotated[] = [];
  for (const name of await readdir(dirname(path))) {
    if (!name.startsWith(`${stem}-`) || !name.endsWith(extension)) continue;
    const match = /^-(\d{4}-\d{2}-\d{2})\.(\d+)$/.exec(
      name.slice(stem.length, name.length - extension.length),
    );
    if (match) names.push({ name, date: match[1]!, number: Number(match[2]) });
  }
  return names.sort((a, b) => (a.date === b.date ? a.number - b.number : a.date < b.date ? -1 : 1));
}

/** Behind all that are there, by their names: one of them may be gone, and the clock may have been set back since. */
async function nextName(path: string, today: string): Promise<string> {
  const { stem, extension } = parts(path);
  const last = (await rotated(path)).at(-1);
  const date = last !== undefined && last.date > today ? last.date : today;
  const number = last?.date === date ? last.number + 1 : 1;
  return join(dirname(path), `${stem}-${date}.${number}${extension}`);
}

function parts(path: string): { stem: string; extension: string } {
  const name = basename(path);
  const dot = name.lastIndexOf('.');
  return dot <= 0 ? { stem: name, extension: '' } : { stem: name.slice(0, dot), extension: name.slice(dot) };
}

/** A process that was killed may have left half a line. */
async function endOfLastLine(file: FileHandle, length: number): Promise<number> {
  const from = Math.max(0, length - MAX_LINE_BYTES);
  const buffer = Buffer.alloc(length - from);
  await file.read(buffer, 0, buffer.length, from);
  const at = buffer.lastIndexOf(0x0a);
  return at === -1 ? (from === 0 ? 0 : length) : from + at + 1;
}
