// The revocation list as a file of JSON lines. `bearerd revoke` appends to it; a line is one revocation.
import type { Clock } from '../lib/clock.ts';
import type { Observer } from '../telemetry/observer.ts';
import { createFollowedFile } from './followed-file.ts';
import type { Revocation, RevocationSource, Revocations } from './revocations.ts';

const TEXTS = ['jti', 'sub', 'sid', 'client_id', 'issuer'] as const;

export interface RevocationFileDeps {
  readonly path: string;
  readonly list: Revocations;
  readonly clock: Clock;
  readonly observer: Observer;
}

export function createRevocationFile({ path, list, clock, observer }: RevocationFileDeps): RevocationSource {
  return createFollowedFile({
    path,
    name: 'revocation list',
    take(text) {
      // Cut by a full disk or a writer in between: nobody is let in again for that.
      if (text === '' && list.size > 0) {
        throw new Error('the file is empty and the list was not; a blank line says that nothing is revoked');
      }
      const entries = parseRevocationLines(text, clock.now());
      list.replace(entries);
      return entries.length;
    },
    good: list.good,
    clock,
    observer,
  });
}

/** Throws with the number of the first bad line. Ended ones (`expires_at` before `now`) are left out. */
export function parseRevocationLines(text: string, now: number): Revocation[] {
  const found: Revocation[] = [];
  text.split('\n').forEach((line, i) => {
    if (line.trim() === '') return;
    const entry = parseLine(line, now);
    if (entry === undefined) throw new Error(`line ${i + 1} is no revocation`);
    if (entry !== 'ended') found.push(entry);
  });
  return found;
}

function parseLine(line: string, now: number): Revocation | 'ended' | undefined {
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
  return ends !== undefined && ends < now ? 'ended' : entry;
}

/** Epoch seconds, or a date with its time zone. */
function dateOf(value: unknown): number | undefined | 'bad' {
  if (value === undefined) return undefined;
  if (typeof value === 'number') return Number.isFinite(value) ? value * 1_000 : 'bad';
  if (typeof value !== 'string' || !/^\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)$/.test(value)) return 'bad';
  const at = Date.parse(value);
  return Number.isNaN(at) ? 'bad' : at;
}
