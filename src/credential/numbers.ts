// Every number of renewal and of calls to providers, with its reason. docs/outages.md tells them to the operator.

// ── One credential ──

/** Full jitter between these while a credential lives: the first retry meets a passing fault, the last spares an outage. */
export const BACKOFF = { baseMs: 250, maxMs: 30_000 } as const;

/** With none left, while somebody asks. A return is seen after this and one call: half of the promised second is left. */
export const PROBE_MS = 500;

/** What the provider refused stays refused until somebody mends it; a changed secret file wakes us at once. */
export const REJECTED_MS = 30_000;

/** Longest wait of a request for a retry: a provider that hangs must not hold every request of an outage. */
export const PROBE_WAIT_MS = 300;

/** An asker of the last seconds still counts as asking. */
export const ASKED_LATELY_MS = 5_000;

/** Retry-After is a provider's wish and may be wrong: with a credential left it is honoured up to here … */
const MAX_RETRY_AFTER_MS = 300_000;
/** … and up to this share of the time left, so that two more attempts fit before the end. */
const RETRY_AFTER_SHARE = 1 / 3;
/** With none left every request fails, and half a minute is the longest that this may hang on one header. */
const MAX_RETRY_AFTER_WITHOUT_MS = 30_000;

/** How much of a Retry-After counts with so much left of the credential; at most 0 = there is none. */
export function honouredMs(leftMs: number): number {
  return leftMs > 0 ? Math.min(MAX_RETRY_AFTER_MS, leftMs * RETRY_AFTER_SHARE) : MAX_RETRY_AFTER_WITHOUT_MS;
}

/** A clock that jumped is noticed by the next request. Where Envoy holds the credential no request comes, so we look. */
export const PUSHED_EXPIRY_LOOK_MS = 1_000;
export const EXPIRY_LOOK_MS = 60_000;

// ── One token endpoint ──

/** One call. Token endpoints answer in well under a second; what takes longer than this does not come. */
export const CALL_MS = 5_000;

/** A call that took so long has likely been swallowed: where somebody waits, another one is sent beside it. */
export const HEDGE_AFTER_MS = 2_000;

/** Until the next region is asked: a request waits 3 s by default, and the second region must fit into that. */
export const REGION_PATIENCE_MS = 1_200;

/** Calls at a time for renewals ahead of time. They have half a life for it and take nothing from waiting requests. */
export const BACKGROUND_IN_FLIGHT = 2;

/** Calls at a time that a request waits for: at 100 ms each they are 320 a second. */
export const WAITING_IN_FLIGHT = 32;

/** Waiting for their turn: the last of a thousand is sent after the 3 s that a request waits by default. */
export const QUEUE_LENGTH = 1_000;

/** Subject tokens in the queue: a thousand of 4 KiB. */
export const QUEUE_BYTES = 4 << 20;

/** Until a first credential that nobody waits for gives up its place in the queue. */
export const BACKGROUND_PATIENCE_MS = 60_000;

/** Failures in a row that open the breaker. One lost connection or one slow answer is no outage. */
export const FAILURES_TO_OPEN = 5;

/** Of the cap: ten times what the lifetimes ask for leaves room for retries, revocations and restarts of a provider. */
export const CAP_FACTOR = 10;

/** A cap below one a minute would make a single revocation wait. */
export const LEAST_CAP_PER_HOUR = 60;
