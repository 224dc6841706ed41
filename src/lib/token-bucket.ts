// Token buckets: so many at once, so many in a time. Time is handed in, milliseconds of a monotonic clock.

export interface BucketSize {
  readonly requests: number;
  readonly perMs: number;
  readonly burst: number;
}

/** A sum of small parts falls short of one by rounding. */
const WHOLE = 1 - 1e-9;

export class TokenBucket {
  readonly #size: BucketSize;
  #tokens: number;
  #at: number;

  constructor(size: BucketSize, now: number) {
    this.#size = size;
    this.#tokens = size.burst;
    this.#at = now;
  }

  /** Takes one. 0 = had; else milliseconds until there is one. */
  take(now: number): number {
    const waitMs = this.waitMs(now);
    if (waitMs === 0) this.#tokens--;
    return waitMs;
  }

  /** Whether there is one, and none taken. 0 = yes; else milliseconds until there is. */
  waitMs(now: number): number {
    this.#fill(now);
    if (this.#tokens >= WHOLE) return 0;
    return Math.max(1, ((1 - this.#tokens) * this.#size.perMs) / this.#size.requests);
  }

  get left(): number {
    return Math.floor(this.#tokens);
  }

  #fill(now: number): void {
    const { requests, perMs, burst } = this.#size;
    this.#tokens = Math.min(burst, this.#tokens + ((now - this.#at) * requests) / perMs);
    this.#at = now;
  }
}

const MAX_KEYS = 10_000;

/** One bucket a key, of the same size each. The one that was unused longest goes when there are too many. */
export class TokenBuckets {
  readonly #size: BucketSize;
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(size: BucketSize) {
    this.#size = size;
  }

  of(key: string, now: number): TokenBucket {
    let bucket = this.#buckets.get(key);
    if (bucket === undefined) {
      if (this.#buckets.size >= MAX_KEYS) this.#buckets.delete(this.#buckets.keys().next().value!);
      bucket = new TokenBucket(this.#size, now);
    } else this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    return bucket;
  }
}
