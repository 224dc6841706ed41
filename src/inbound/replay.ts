// What works once: `jti` of DPoP proofs, nonces of signatures. In memory here; a store that sidecars share can take its
// place behind the same interface. When it is full, whoever has most marks loses its oldest, and nothing that it made until
// then is believed any more: no replay gets through, and a sender that floods shortens the time of its own proofs alone.
import { hash } from 'node:crypto';
import type { Clock } from '../lib/clock.ts';

export interface ReplayMark {
  /** In whose share of the memory: an account, not each of its keys. */
  readonly sender: string;
  /** What works once, over all senders. */
  readonly what: string;
  /** Epoch milliseconds by the sender's clock. */
  readonly madeAt: number;
  /** How long it counts from now. */
  readonly forMs: number;
}

export interface ReplayMemory {
  /** Whether this is the first time, and from now on it is not. */
  first(mark: ReplayMark): boolean | Promise<boolean>;
}

export interface OwnReplayMemory extends ReplayMemory {
  first(mark: ReplayMark): boolean;
}

interface Mark {
  /** Hash of what works once. */
  readonly id: string;
  /** Monotonic milliseconds. */
  readonly until: number;
  readonly madeAt: number;
  next: Mark | undefined;
}

/** Its marks as a list. They count about equally long, so that the oldest ends first. */
interface Sender {
  readonly key: string;
  size: number;
  oldest: Mark | undefined;
  newest: Mark | undefined;
  /** What was made until then is not believed: some of it was forgotten, and would count until then. */
  forgotten: number;
  forgottenUntil: number;
}

/**
 * Senders with equally many marks. Whoever is found leaves it, so the iterator goes on where it is: one begun anew steps over
 * all that was deleted before (V8).
 */
interface Rank {
  readonly senders: Set<Sender>;
  readonly inOrder: Iterator<Sender>;
}

/** Characters of a sender's name that are kept. */
const MAX_NAME = 64;
/** 83 MB where each has a sender of its own (measured). */
const MAX_REMEMBERED = 200_000;
/** Ended marks of a sender that are dropped at a time: a call must not take long. */
const ENDED_AT_ONCE = 16;

export function createReplayMemory(clock: Clock, limit = MAX_REMEMBERED): OwnReplayMemory {
  const marks = new Map<string, Mark>();
  const senders = new Map<string, Sender>();
  /** By number of marks, so that whoever has most is found at once. */
  const ranks = new Map<number, Rank>();
  let largest = 0;
  let total = 0;
  /** As Sender.forgotten, of all: a sender was forgotten as a whole. */
  let forgotten = Number.NEGATIVE_INFINITY;
  let round = senders.values();

  function resize(sender: Sender, by: 1 | -1): void {
    const left = ranks.get(sender.size);
    left?.senders.delete(sender);
    if (left?.senders.size === 0) ranks.delete(sender.size);
    total += by;
    sender.size += by;
    if (sender.size === 0) senders.delete(sender.key);
    else rankOf(sender.size).senders.add(sender);
    if (sender.size > largest) largest = sender.size;
    else if (!ranks.has(largest)) largest--;
  }

  function rankOf(size: number): Rank {
    const known = ranks.get(size);
    if (known !== undefined) return known;
    const all = new Set<Sender>();
    const rank = { senders: all, inOrder: all.values() };
    ranks.set(size, rank);
    return rank;
  }

  function dropOldest(sender: Sender): void {
    const { id, next } = sender.oldest!;
    // One that ended may have come again before it was dropped.
    if (marks.get(id) === sender.oldest) marks.delete(id);
    sender.oldest = next;
    resize(sender, -1);
  }

  function dropEnded(sender: Sender, now: number): void {
    for (let i = 0; i < ENDED_AT_ONCE; i++) {
      const { oldest } = sender;
      if (oldest === undefined || oldest.until >= now) return;
      // The last one goes when nothing is to be known of its sender any more.
      if (oldest.next === undefined && sender.forgottenUntil >= now) return;
      dropOldest(sender);
    }
  }

  /** Of whoever comes next: so all have their turn. */
  function dropEndedOfNext(now: number): void {
    const { value, done } = round.next();
    if (done) round = senders.values();
    else dropEnded(value, now);
  }

  function makeRoom(now: number): void {
    const sender = ranks.get(largest)!.inOrder.next().value as Sender;
    const { until, madeAt } = sender.oldest!;
    if (until >= now) {
      sender.forgotten = Math.max(sender.forgotten, madeAt);
      sender.forgottenUntil = Math.max(sender.forgottenUntil, until);
    }
    if (sender.forgottenUntil >= now && sender.size === 1) {
      forgotten = Math.max(forgotten, sender.forgotten);
    }
    dropOldest(sender);
  }

  return {
    first({ sender: name, what, madeAt, forMs }) {
      const now = clock.monotonic();
      dropEndedOfNext(now);
      // Names may be as long as a token; a hash is not.
      const key = name.length > MAX_NAME ? hash('sha256', name, 'base64url') : name;
      const known = senders.get(key);
      if (known !== undefined) dropEnded(known, now);
      const isForgotten = () => madeAt <= forgotten || (known !== undefined && madeAt <= known.forgotten);
      if (isForgotten()) return false;
      const id = hash('sha256', what, 'base64url');
      if ((marks.get(id)?.until ?? Number.NEGATIVE_INFINITY) >= now) return false;
      while (total >= limit) makeRoom(now);
      // Room may have been made of its own.
      if (isForgotten()) return false;
      const sender = senders.get(key) ?? newSender(key);
      senders.set(key, sender);
      const mark = { id, until: now + forMs, madeAt, next: undefined };
      if (sender.oldest === undefined) sender.oldest = mark;
      else sender.newest!.next = mark;
      sender.newest = mark;
      marks.set(id, mark);
      resize(sender, 1);
      return true;
    },
  };
}

function newSender(key: string): Sender {
  const never = Number.NEGATIVE_INFINITY;
  return { key, size: 0, oldest: undefined, newest: undefined, forgotten: never, forgottenUntil: never };
}
