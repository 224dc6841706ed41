// The revocation list of a fleet, looked at three times a second: in force within one, also after a lost connection. A list
// that lost lines (a flush, a fail-over to an old replica) takes nothing back: what was known counts on.
import type { Clock, Timer } from '../lib/clock.ts';
import type { Observer } from '../telemetry/observer.ts';
import { parseRevocationLines } from './revocation-file.ts';
import type { Revocation, RevocationSource, Revocations } from './revocations.ts';

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
  let timer: Timer | undefined;
  let stopped = false;
  let known = '';
  let text = '';
  let kept: readonly Revocation[] = [];
  let current: readonly Revocation[] = [];

  async function look(): Promise<void> {
    try {
      const answer = await read(known);
      if (answer === undefined) observer.inputRefused(NAME, 'the shared cache does not answer');
      else {
        if (answer.lines !== undefined) take(answer.lines);
        known = answer.version;
        list.good.at = clock.monotonic();
        observer.inputCurrent(NAME);
      }
    } catch (error) {
      observer.inputRefused(NAME, (error as Error).message);
    }
    if (!stopped) timer = clock.setTimer(() => void look(), EVERY_MS);
  }

  function take(lines: string): void {
    const next = parseRevocationLines(lines, clock.now());
    // Only an operator's tool writes here, and it appends.
    if (!lines.startsWith(text)) {
      observer.inputRefused(NAME, 'it lost lines: what was known counts on');
      kept = [...kept, ...current];
    }
    text = lines;
    current = next;
    list.replace([...kept, ...current]);
    observer.inputLoaded(NAME, kept.length + current.length);
  }

  return {
    start: () => void look(),
    stop() {
      stopped = true;
      timer?.cancel();
    },
    ageMs: () => clock.monotonic() - list.good.at,
  };
}
