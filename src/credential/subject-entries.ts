// The credentials of one source's subjects, found by subject, by generation and by value. Their bytes count against one
// bound over all sources; what falls out of it is found by nothing any more.
import type { Clock } from '../lib/clock.ts';
import { type Cache, createCache } from './cache.ts';
import type { CarriedSubject, Credential, Subject } from './credential.ts';
import type { Refusals } from './refusals.ts';
import { keyOf } from './subject.ts';

/** Objects, keys and places in the maps around one credential, bytes: 983 measured, and room for earlier values. */
const OVERHEAD_BYTES = 1_536;
/** Earlier values of a subject by which it is still found: of renewals while one request is retried. */
const MAX_VALUES = 4;

export interface SubjectEntry {
  readonly subject: Subject;
  credential: Credential;
  /** Monotonic ms; Infinity = none by time. */
  refreshAt: number;
  /** Monotonic ms of the last use since it was published; -Infinity = none. */
  usedAt: number;
  /** Of renewals in a row that failed. */
  failures: number;
  /** From the first refusal on. */
  refusals: Refusals | undefined;
}

/** With what only this file touches. */
interface Kept extends SubjectEntry {
  readonly cacheKey: string;
  readonly owner: { removed(entry: Kept, evicted: boolean): void };
  values: readonly CarriedValue[];
  place: number;
}

/** Hash and times of a value, never the value. */
interface CarriedValue {
  readonly key: string;
  readonly generation: number;
  /** Monotonic ms. */
  readonly usableUntil: number;
}

/** Who has a value. One value of two subjects tells of neither, also when one of them is gone. */
interface Holder {
  entry: Kept | undefined;
  count: number;
}

/** Of all sources together. */
export interface SubjectCache {
  readonly entries: Cache<Kept>;
  /** Counts the sources that have a part of it: one that takes over the name of another finds nothing of that. */
  owners: number;
}

export function createSubjectCache(bytes: number): SubjectCache {
  const entries = createCache<Kept>({
    bound: bytes,
    sizeOf: ({ credential, subject }) =>
      credential.value.length + subject.token.length + (subject.actor?.length ?? 0) + OVERHEAD_BYTES,
    removed: (entry, evicted) => entry.owner.removed(entry, evicted),
  });
  return { entries, owners: 0 };
}

export interface SubjectEntries {
  /** Hot. Counts as a use for the bound. */
  find(subjectKey: string): SubjectEntry | undefined;
  ofGeneration(generation: number): SubjectEntry | undefined;
  ofValue(valueKey: string): CarriedSubject | undefined;
  /** A new credential of a subject, kept or not yet. */
  publish(subject: Subject, credential: Credential): SubjectEntry;
  remove(entry: SubjectEntry): void;
  /** The next of `share` of them, round after round. */
  slice(share: number): readonly SubjectEntry[];
  clear(): void;
  readonly size: number;
}

export function createSubjectEntries(of: SubjectCache, clock: Clock, evicted: () => void): SubjectEntries {
  const cache = of.entries;
  const number = ++of.owners;
  const byGeneration = new Map<number, Kept>();
  const byValue = new Map<string, Holder>();
  const all: Kept[] = [];
  let next = 0;
  const cacheKey = (subjectKey: string) => `${number} ${subjectKey}`;

  const owner = {
    removed(entry: Kept, wasEvicted: boolean): void {
      const last = all.pop()!;
      if (last !== entry) {
        all[entry.place] = last;
        last.place = entry.place;
      }
      byGeneration.delete(entry.credential.generation);
      for (const { key } of entry.values) forgetValue(key);
      if (wasEvicted) evicted();
    },
  };

  function rememberValue(entry: Kept): void {
    const { value, generation, usableUntilMonotonic: usableUntil } = entry.credential;
    const key = keyOf(value.reveal());
    const now = clock.monotonic();
    const older = entry.values.filter((v) => v.key !== key && v.usableUntil > now);
    const values = [{ key, generation, usableUntil }, ...older].slice(0, MAX_VALUES);
    const before = entry.values;
    entry.values = values;
    for (const { key: old } of before) if (!values.some((v) => v.key === old)) forgetValue(old);
    if (before.some((v) => v.key === key)) return;
    const holder = byValue.get(key);
    if (holder === undefined) byValue.set(key, { entry, count: 1 });
    else {
      holder.entry = undefined;
      holder.count++;
    }
  }

  function forgetValue(key: string): void {
    const holder = byValue.get(key);
    if (holder !== undefined && --holder.count === 0) byValue.delete(key);
  }

  return {
    find: (subjectKey) => cache.get(cacheKey(subjectKey)),
    ofGeneration: (generation) => byGeneration.get(generation),
    ofValue(valueKey) {
      const entry = byValue.get(valueKey)?.entry;
      if (entry === undefined) return undefined;
      const value = entry.values.find((v) => v.key === valueKey)!;
      if (value.usableUntil <= clock.monotonic()) return undefined;
      return { subject: entry.subject, generation: value.generation };
    },
    publish(subject, credential) {
      const key = cacheKey(subject.key);
      let entry = cache.get(key);
      if (entry === undefined) {
        entry = {
          subject,
          credential,
          refreshAt: Number.POSITIVE_INFINITY,
          usedAt: Number.NEGATIVE_INFINITY,
          failures: 0,
          refusals: undefined,
          cacheKey: key,
          owner,
          values: [],
          place: all.length,
        };
        all.push(entry);
      }
      byGeneration.delete(entry.credential.generation);
      entry.credential = credential;
      byGeneration.set(credential.generation, entry);
      rememberValue(entry);
      cache.set(key, entry);
      return entry;
    },
    remove: (entry) => cache.delete((entry as Kept).cacheKey),
    slice(share) {
      const count = Math.ceil(all.length * share);
      if (next >= all.length) next = 0;
      const part = all.slice(next, next + count);
      next += count;
      return part;
    },
    clear() {
      for (const { cacheKey: key } of [...all]) cache.delete(key);
    },
    get size() {
      return all.length;
    },
  };
}
