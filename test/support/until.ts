// Waiting for the very condition that a test asserts next, and never for a time after which it usually holds.
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Resolves with the milliseconds that it took; rejects with `what` after `limitMs`. The limit is no bound of anything, only
 * far above what a busy machine needs.
 */
export async function until(
  what: string | (() => string),
  isSo: () => boolean | Promise<boolean>,
  limitMs = 30_000,
): Promise<number> {
  const begun = performance.now();
  while (!(await isSo())) {
    if (performance.now() - begun > limitMs) {
      throw new Error(`not within ${limitMs} ms: ${typeof what === 'string' ? what : what()}`);
    }
    await sleep(10);
  }
  return performance.now() - begun;
}
