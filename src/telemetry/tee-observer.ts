// Tells two observers everything, in order. What they answer is the second one's word, where metrics count; of callers, the
// first one's, where the audit trail is.
import type { Observer } from './observer.ts';

export function createTeeObserver(first: Observer, second: Observer): Observer {
  const tee: Record<string, (...args: unknown[]) => unknown> = {};
  for (const name of Object.keys(first) as (keyof Observer)[]) {
    const a = first[name] as (...args: unknown[]) => unknown;
    const b = second[name] as (...args: unknown[]) => unknown;
    tee[name] = (...args) => {
      a(...args);
      return b(...args);
    };
  }
  return { ...(tee as unknown as Observer), callerCount: first.callerCount };
}
