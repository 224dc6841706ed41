// The revocation list of a fleet, looked at three times a second: in force within one, also after a lost connection. A list
// that lost lines (a flush, a fail-over to an old replica) takes nothing back: what was known counts on.
import type { Clock } from '../lib/clock.ts';
import type { Observer } from '../telemetry/observer.ts';
import { createFollowed, type Followed } from './followed.ts';
import { MAX_FOLLOWED_BYTES } from './followed-file.ts';
import { parseRevocation, parseRevocationLines } from './revocation-file.ts';
import type { Revocation, Revocations } from './revocations.ts';

const EVERY_MS = 350;
const NAME = 'revocation list';

export interface SharedRevocationsDeps {
  /** The list's version and, if it is not `known`, its lines; undefined = no answer. */
  readonly read: (
    known: string,
  ) => Promise<{ readonly version: string; readonly lines: string | undefined } | undefined>;
  readonly list: Revocations;
  readonly clock: Clock;
  readonly observer: Observer;
}

export function createSharedRevocations(deps: SharedRevocationsDeps): Followed {
  const { read, list, clock, observer } = deps;
  /** Every line that ever stood there: a reload must not forget what Redis lost. */
  const { lines, good } = list.known;
  let current: readonly string[] = [];

  function take(text: string): number {
    const next = new Set(text.split('\n'));
    const added = parseNew(text, next);
    // Only an operator's tool writes here, and it appends.
    if (current.some((line) => !next.has(line))) {
      observer.inputRefused(NAME, 'it lost lines: what was known counts on');
    }
    current = [...next];
    for (const [line, entry] of added) lines.set(line, entry);
    if (!makeRoom(next)) {
      for (const line of added.keys()) lines.delete(line);
      throw new Error(`larger than ${MAX_FOLLOWED_BYTES} bytes with what it lost`);
    }
    const entries = [...lines.values()].filter((entry) => entry !== undefined);
    list.replace(entries);
    return entries.length;
  }

  /** A line more must not cost what the whole list does: nothing is answered meanwhile. */
  function parseNew(text: string, next: ReadonlySet<string>): Map<string, Revocation | undefined> {
    const added = new Map<string, Revocation | undefined>();
    let isPlain = true;
    for (const line of next) {
      if (lines.has(line)) continue;
      const entry = parseRevocation(line.trim());
      isPlain &&= entry !== undefined || line.trim() === '';
      added.set(line, entry);
    }
    // One that is none, or says how many there are.
    if (!isPlain) parseRevocationLines(text);
    return added;
  }

  /** What has ended is forgotten only for want of room, and where the list lost it: the clock may be ahead. */
  function makeRoom(next: ReadonlySet<string>): boolean {
    let bytes = 0;
    for (const line of lines.keys()) bytes += line.length + 1;
    for (const [line, entry] of lines) {
      if (bytes <= MAX_FOLLOWED_BYTES) break;
      if (next.has(line) || (entry?.endsAt ?? Number.POSITIVE_INFINITY) >= clock.now()) continue;
      lines.delete(line);
      bytes -= line.length + 1;
    }
    return bytes <= MAX_FOLLOWED_BYTES;
  }

  return createFollowed({
    ...{ name: NAME, everyMs: EVERY_MS, good, take, clock, observer },
    async read(known) {
      const answer = await read(known);
      if (answer === undefined) throw new Error('the shared cache does not answer');
      return { version: answer.version, text: answer.lines };
    },
  });
}
