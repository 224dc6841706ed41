// Turns at one endpoint: so many calls at a time, the rest in order of their deadline. What is past it is dropped and
// not sent, since nobody would take the answer.
import {
  BACKGROUND_IN_FLIGHT,
  QUEUE_BYTES,
  QUEUE_LENGTH,
  WAITING_IN_FLIGHT,
} from '../../credential/numbers.ts';
import type { Clock } from '../../lib/clock.ts';

/** Background and waiting calls have turns of their own and share the queue's length. */
export type Lane = 'background' | 'waiting';

export type Dropped = 'queue_full' | 'past_deadline' | 'abandoned';

export interface Turn {
  readonly lane: Lane;
  /** Monotonic, ms. */
  readonly deadline: number;
  /** What it holds in memory while it waits. */
  readonly bytes: number;
  readonly signal: AbortSignal;
}

export interface TurnQueue {
  /** Resolves with undefined when it is this call's turn: `leave` must follow. Else why it never comes. */
  enter(turn: Turn): Promise<Dropped | undefined>;
  leave(lane: Lane): void;
  readonly length: number;
  inFlight(lane: Lane): number;
}

interface Waiter extends Turn {
  readonly settle: (dropped: Dropped | undefined) => void;
}

const AT_A_TIME: Readonly<Record<Lane, number>> = {
  background: BACKGROUND_IN_FLIGHT,
  waiting: WAITING_IN_FLIGHT,
};

export function createTurnQueue(clock: Clock): TurnQueue {
  const inFlight: Record<Lane, number> = { background: 0, waiting: 0 };
  /** Each in order of deadline. */
  const waiters: Record<Lane, Waiter[]> = { background: [], waiting: [] };
  let bytes = 0;

  const length = () => waiters.background.length + waiters.waiting.length;

  function remove(waiter: Waiter): boolean {
    const line = waiters[waiter.lane];
    const index = line.indexOf(waiter);
    if (index === -1) return false;
    line.splice(index, 1);
    bytes -= waiter.bytes;
    return true;
  }

  function drop(waiter: Waiter, why: Dropped): void {
    if (remove(waiter)) waiter.settle(why);
  }

  function insert(waiter: Waiter): void {
    const line = waiters[waiter.lane];
    let at = line.length;
    while (at > 0 && line[at - 1]!.deadline > waiter.deadline) at--;
    line.splice(at, 0, waiter);
    bytes += waiter.bytes;
  }

  /** Over the bounds the last to be served goes: background before waiting, then the latest deadline. */
  function bound(): void {
    while (length() > QUEUE_LENGTH || bytes > QUEUE_BYTES) {
      drop((waiters.background.at(-1) ?? waiters.waiting.at(-1))!, 'queue_full');
    }
  }

  function next(lane: Lane): void {
    while (inFlight[lane] < AT_A_TIME[lane]) {
      const [first] = waiters[lane];
      if (first === undefined) return;
      if (first.deadline <= clock.monotonic()) {
        drop(first, 'past_deadline');
        continue;
      }
      remove(first);
      inFlight[lane]++;
      first.settle(undefined);
    }
  }

  return {
    enter(turn) {
      const { promise, resolve } = Promise.withResolvers<Dropped | undefined>();
      if (turn.signal.aborted) return Promise.resolve('abandoned');
      const abandon = () => drop(waiter, 'abandoned');
      const waiter: Waiter = {
        ...turn,
        settle(dropped) {
          turn.signal.removeEventListener('abort', abandon);
          resolve(dropped);
        },
      };
      turn.signal.addEventListener('abort', abandon, { once: true });
      insert(waiter);
      bound();
      next(turn.lane);
      return promise;
    },
    leave(lane) {
      inFlight[lane]--;
      next(lane);
    },
    get length() {
      return length();
    },
    inFlight: (lane) => inFlight[lane],
  };
}
