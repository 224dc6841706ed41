// Why attempts failed, from Envoy's access log to the attempts that follow them. An attempt does not tell by itself: one
// after a 401 looks like one after a 503 (seen on six versions). Keys are hashes: no path and no request id is kept.
import { hash } from 'node:crypto';
import type { Clock } from '../../lib/clock.ts';

export type Outcome =
  | 'refused' // the credential was refused, and a new one may help
  | 'nonce_demanded' // the proof has to be made again with the nonce that came
  | 'failed'; // anything else: the credential is not to blame

export interface AttemptKey {
  readonly requestId: string;
  readonly host: string;
  readonly method: string;
  readonly path: string;
}

export interface AttemptOutcomes {
  /** An attempt failed. */
  tell(key: AttemptKey, outcome: Outcome): void;
  /**
   * Why the attempt before this one failed; a promise where it has not been told yet, undefined when it was not within
   * `waitMs`. Each telling answers one question.
   */
  ask(key: AttemptKey, waitMs: number): Outcome | Promise<Outcome | undefined>;
}

/** Final failures are never asked about: they go when they are old or many. */
const MAX_KEPT = 4_096;
const MAX_KEPT_OF_ONE = 256;
const KEPT_MS = 5_000;

interface Told {
  readonly outcome: Outcome;
  readonly at: number;
}

export function createAttemptOutcomes(clock: Clock): AttemptOutcomes {
  const told = new Map<string, Told[]>();
  const asking = new Map<string, ((outcome: Outcome) => void)[]>();

  function take(id: string): Outcome | undefined {
    const since = clock.monotonic() - KEPT_MS;
    const [first, ...others] = told.get(id)?.filter(({ at }) => at >= since) ?? [];
    if (others.length === 0) told.delete(id);
    else told.set(id, others);
    if (first === undefined) return undefined;
    // Several attempts under one key, since apps choose and share request ids: in doubt nothing is renewed.
    return others.every(({ outcome }) => outcome === first.outcome) ? first.outcome : 'failed';
  }

  return {
    tell(key, outcome) {
      const id = idOf(key);
      const asker = asking.get(id)?.[0];
      if (asker !== undefined) return asker(outcome);
      const all = told.get(id) ?? [];
      if (all.length >= MAX_KEPT_OF_ONE) all.shift();
      all.push({ outcome, at: clock.monotonic() });
      told.delete(id); // the newest stands last
      told.set(id, all);
      if (told.size > MAX_KEPT) told.delete(told.keys().next().value!);
    },
    ask(key, waitMs) {
      const id = idOf(key);
      const known = take(id);
      if (known !== undefined) return known;
      return new Promise((resolve) => {
        const askers = asking.get(id) ?? [];
        asking.set(id, askers);
        const end = (outcome: Outcome | undefined): void => {
          timer.cancel();
          askers.splice(askers.indexOf(end), 1);
          if (askers.length === 0) asking.delete(id);
          resolve(outcome);
        };
        askers.push(end);
        const timer = clock.setTimer(() => end(undefined), waitMs);
      });
    },
  };
}

function idOf({ requestId, host, method, path }: AttemptKey): string {
  return hash('sha256', JSON.stringify([requestId, host, method, path]), 'base64url');
}
