// How much of a caller's deadline an answer may take. What is left is for the way back: an answer of our own must arrive
// before Envoy gives up. The generator states deadlines by the same share.

/** Of the caller's deadline. */
export const DEADLINE_SHARE = 0.7;

/** Longest wait for a call, milliseconds; `timeoutMs` undefined = the caller stated no deadline. */
export function waitWithin(maxWaitMs: number, timeoutMs: number | undefined): number {
  return Math.min(maxWaitMs, (timeoutMs ?? Number.POSITIVE_INFINITY) * DEADLINE_SHARE);
}
