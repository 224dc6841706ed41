// Values up to a bound of their summed size; the one used longest ago goes first.
import { LRUCache } from 'lru-cache';

export interface Cache<V extends object> {
  /** Counts as a use. */
  get(key: string): V | undefined;
  /** Keeps it, also again with another size. Whatever has no place any more is told to `removed`. */
  set(key: string, value: V): void;
  delete(key: string): void;
  clear(): void;
  readonly size: number;
}

export interface CacheOptions<V> {
  /** Of the sizes together. One value alone is never larger. */
  readonly bound: number;
  /** Above zero. */
  readonly sizeOf: (value: V) => number;
  /** `evicted` = for another's sake. Not told of a value that is set again. */
  readonly removed?: (value: V, evicted: boolean) => void;
}

export function createCache<V extends object>({ bound, sizeOf, removed }: CacheOptions<V>): Cache<V> {
  return new LRUCache<string, V>({
    maxSize: bound,
    sizeCalculation: sizeOf,
    ...(removed === undefined ? {} : { dispose: (value, _, reason) => removed(value, reason === 'evict') }),
  });
}
