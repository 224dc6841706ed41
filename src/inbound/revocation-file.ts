// The revocation list as a file of JSON lines, each one revocation. Its first line says how many there are at least, since a
// list that was cut at the end of a line looks whole: {"entries":12}. Whoever appends by hand need not know of it.
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { Clock } from '../lib/clock.ts';
import type { Observer } from '../telemetry/observer.ts';
import type { Followed } from './followed.ts';
import { createFollowedFile } from './followed-file.ts';
import type { Revocation, Revocations } from './revocations.ts';

const { O_RDWR, O_APPEND, O_NONBLOCK } = constants;
const ENTRIES = /^\{\s*"entries"\s*:\s*(\d+)\s*\}$/;
/** Of the number and its blanks: a larger one is written in the place of the one before. */
const ENTRIES_WIDTH = 10;
/** A token counts for its leeway beyond its end, at most so long: a revocation that ends with it must not be over before. */
const LONGEST_LEEWAY_MS = 60_000;
const BEGIN = 'restore it, or begin one with a blank line (echo > FILE)';
const TEXTS = ['jti', 'sub', 'sid', 'client_id', 'issuer'] as const;

export interface RevocationFileDeps {
  readonly path: string;
  readonly list: Revocations;
  readonly clock: Clock;
  readonly observer: Observer;
}

export function createRevocationFile({ path, list, clock, observer }: RevocationFileDeps): Followed {
  return createFollowedFile({
    path,
    name: 'revocation list',
    take(text) {
      const entries = parseFile(text);
      list.replace(entries);
      return entries.length;
    },
    good: list.known.good,
    clock,
    observer,
  });
}

/** Cut by a full disk or a writer in between it looks so, too: nobody is let in again for that. */
function parseFile(text: string): Revocation[] {
  if (text === '') throw new Error(`it is empty, as one that was cut: ${BEGIN}`);
  return parseRevocationLines(text);
}

/** Throws with the number of the first bad line, and where fewer stand there than the list says. */
export function parseRevocationLines(text: string): Revocation[] {
  const found: Revocation[] = [];
  let least = 0;
  text.split('\n').forEach((raw, i) => {
    // Windows puts CR before LF, and a mark at the beginning.
    const line = raw.trim();
    if (line === '') return;
    const stated = ENTRIES.exec(line)?.[1];
    if (stated !== undefined) {
      least = Math.max(least, Number(stated));
      return;
    }
    const entry = parseRevocation(line);
    if (entry === undefined) throw new Error(`line ${i + 1} is no revocation`);
    found.push(entry);
  });
  if (found.length >= least) return found;
  throw new Error(
    `${found.length} revocations stand where {"entries":${least}} says so many: it was cut; if they were taken out, write the number that is right`,
  );
}

/**
 * One write in append mode: a reader sees the whole line or none of it. A last line without its end gets one. The first
 * revocation of a list brings the number of entries, which is then kept current; nobody is hurt where two of these write at a
 * time, since it is the least number. Rejects for a list that is not there or that readers refuse, and where it cannot be written.
 */
export async function appendRevocation(path: string, line: string): Promise<void> {
  const file = await open(path, O_RDWR | O_APPEND | O_NONBLOCK).catch((error: NodeJS.ErrnoException) => {
    // Made anew, it would be taken for the whole list by those who know the one before.
    throw error.code === 'ENOENT' ? new Error(`there is no list: ${BEGIN}`) : error;
  });
  let isNew: boolean;
  try {
    if (!(await file.stat()).isFile()) throw new Error('it is no file');
    const before = await file.readFile('utf8');
    parseFile(before);
    isNew = before.trim() === '';
    const start = before.endsWith('\n') ? '' : '\n';
    const added = Buffer.from(`${start}${isNew ? `${entriesLine(1)}\n` : ''}${line}\n`);
    const { bytesWritten } = await file.write(added);
    if (bytesWritten < added.length) {
      await file.truncate((await file.stat()).size - bytesWritten);
      throw new Error('not written: the disk took only a part of it');
    }
    await file.sync();
  } finally {
    await file.close();
  }
  if (!isNew) await raiseEntries(path);
}

const entriesLine = (count: number) => `{"entries":${String(count).padEnd(ENTRIES_WIDTH)}}`;

async function raiseEntries(path: string): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const lines = (await file.readFile('utf8')).split('\n');
    const first = lines.findIndex((line) => ENTRIES.test(line.trim()));
    const count = lines.filter((line) => line.trim() !== '' && !ENTRIES.test(line.trim())).length;
    const stated = entriesLine(count);
    const before = lines[first]?.replace(/\r$/, '');
    // A list without it, and one that somebody wrote without room for another, stay as they are.
    if (before === undefined || Buffer.byteLength(before) !== stated.length) return;
    if (Number(ENTRIES.exec(before.trim())![1]) >= count) return;
    const at = Buffer.byteLength(
      lines
        .slice(0, first)
        .map((line) => `${line}\n`)
        .join(''),
    );
    await file.write(stated, at);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** undefined = it is none. */
export function parseRevocation(line: string): Revocation | undefined {
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const known = [...TEXTS, 'issued_before', 'expires_at', 'revoked_at', 'reason'];
  // An unknown word may have narrowed it: it must not be read as wider, nor passed over.
  if (Object.keys(value).some((key) => !known.includes(key))) return undefined;
  const entry: { -readonly [K in keyof Revocation]: Revocation[K] } = {};
  for (const name of TEXTS) {
    const text = value[name];
    if (text === undefined) continue;
    if (typeof text !== 'string') return undefined;
    entry[name] = text;
  }
  const before = dateOf(value['issued_before']);
  const ends = dateOf(value['expires_at']);
  if (before === 'bad' || ends === 'bad') return undefined;
  if (before !== undefined) entry.issuedBefore = before;
  const narrows = entry.jti ?? entry.sub ?? entry.sid ?? entry.client_id ?? entry.issuedBefore;
  if (narrows === undefined) return undefined;
  if (ends !== undefined) entry.endsAt = ends + LONGEST_LEEWAY_MS;
  return entry;
}

/** Epoch seconds, or a date with its time zone. */
function dateOf(value: unknown): number | undefined | 'bad' {
  if (value === undefined) return undefined;
  if (typeof value === 'number') return Number.isFinite(value) ? value * 1_000 : 'bad';
  if (typeof value !== 'string' || !/^\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)$/.test(value)) return 'bad';
  const at = Date.parse(value);
  return Number.isNaN(at) ? 'bad' : at;
}
