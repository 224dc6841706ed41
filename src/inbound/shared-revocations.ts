// The revocation list of a fleet, looked at three times a second: in force within one, also after a lost connection. A list
// that lost lines (a flush, a fail-over to an old replica) takes nothing back: what was known counts on.
import type { Clock, Timer } from '../lib/clock.ts';
import type { Observer } from '../telemetry/observer.ts';
import { parseRevocationLines } from './revocation-file.ts';
import type { RevocationSource, Revocations } from './revocations.ts';

const EVERY_MS = 350;
const NAME = 'revocation list';

export interface SharedRevocationsDeps {
  /** The list's version and, if it is not `known`, its lines. */
  readonly read: (
    known: string,
  ) => Promise<{ readonly version: string; readonly lines: string | undefined } | undefined>;
  readonly list: Revocations;
  readonly clock: Clock;
  readonly observer: Observer;
}

export function createSharedRevocations(deps: SharedRevocationsDeps): RevocationSource {
  const { read, list, clock, observer } = deps;
  /** Every line that ever stood there: a reload must not forget what Redis lost. */
  const { lines, good } = list.known;
  let timer: Timer | undefined;
  let stopped = false;
  let seen = '';
  let usable = false;
  let current: readonly string[] = [];

  async function look(): Promise<void> {
    try {
      const answer = await read(seen);
      if (answer === undefined) observer.inputRefused(NAME, 'the shared cache does not answer');
      else if (!stopped) {
        if (answer.lines !== undefined) {
          // Also of one that is not usable: a fleet must not fetch it three times a second.
          seen = answer.version;
          usable = false;
          take(answer.lines);
          usable = true;
        }
        if (usable) {
          good.at = clock.monotonic();
          observer.inputCurrent(NAME);
        }
      }
    } catch (error) {
      observer.inputRefused(NAME, (error as Error).message);
    }
    if (!stopped) timer = clock.setTimer(() => void look(), EVERY_MS);
  }

  function take(text: string): void {
    parseRevocationLines(text, clock.now());
    const next = new Set(text.split('\n'));
    // Only an operator's tool writes here, and it appends.
    if (current.some((line) => !next.has(line))) {
      observer.inputRefused(NAME, 'it lost lines: what was known counts on');
    }
    current = [...next];
    for (const line of next) lines.add(line);
    const entries = parseRevocationLines([...lines].join('\n'), clock.now());
    list.replace(entries);
    observer.inputLoaded(NAME, entries.length);
  }

  return {
    start: () => void look(),
    stop() {
      stopped = true;
      timer?.cancel();
    },
    ageMs: () => clock.monotonic() - good.at,
  };
}
