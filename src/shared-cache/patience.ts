// Waiting for what another process of the fleet obtains.
import type { IssueRequest } from '../credential/credential.ts';
import type { Clock } from '../lib/clock.ts';
import type { Entry } from './entry.ts';
import { PUT_OFF_LEFT_MS } from './holding.ts';
import type { Look, Looks } from './look.ts';
import type { EntryNames } from './name.ts';
import { BACKGROUND_MS } from './redis.ts';

const POLL_MS = { first: 25, most: 250 };
const SECOND_LOOK_MS = 1_000;

export interface Wanted {
  readonly isWanted: (entry: Entry) => boolean;
  /** At most for so long. */
  readonly patienceMs: number;
  /** Of each look. */
  readonly budgetMs: number;
}

export interface Patience {
  /** Until another holder of the lease has written, has given up, or has had it for too long. */
  awaitOther(names: EntryNames, request: IssueRequest, wanted: Wanted): Promise<Look | undefined>;
  /** With half a life left in hand, a Redis that was away for a moment is worth a moment: the whole fleet may see it. */
  secondLook(names: EntryNames, request: IssueRequest): Promise<Look | undefined>;
}

export function createPatience({ seek }: Looks, clock: Clock, random: () => number): Patience {
  async function sleep(ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    await new Promise<void>((resolve) => {
      const timer = clock.setTimer(done, ms);
      function done() {
        timer.cancel();
        signal.removeEventListener('abort', done);
        resolve();
      }
      signal.addEventListener('abort', done);
    });
  }

  return {
    async awaitOther(names, { signal }, { isWanted, patienceMs, budgetMs }) {
      const startedAt = clock.monotonic();
      for (let pause = POLL_MS.first; ; pause = Math.min(POLL_MS.most, pause * 2)) {
        await sleep(pause * (0.5 + random()), signal);
        const now = await seek(names, budgetMs);
        if (now === undefined || now.fence !== undefined) return now;
        if (now.entry !== undefined && isWanted(now.entry)) return now;
        if (signal.aborted || clock.monotonic() - startedAt > patienceMs) return now;
      }
    },
    async secondLook(names, { leftMs, signal }) {
      if (leftMs === undefined || leftMs < PUT_OFF_LEFT_MS) return undefined;
      await sleep(SECOND_LOOK_MS * (1 + random()), signal);
      return seek(names, BACKGROUND_MS);
    },
  };
}
