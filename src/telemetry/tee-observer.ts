// Tells two observers everything, in order.
import type { Observer } from './observer.ts';

export function createTeeObserver(first: Observer, second: Observer): Observer {
  const tee: Record<string, (...args: unknown[]) => void> = {};
  for (const name of Object.keys(first) as (keyof Observer)[]) {
    const a = first[name] as (...args: unknown[]) => void;
    const b = second[name] as (...args: unknown[]) => void;
    tee[name] = (...args) => {
      a(...args);
      b(...args);
    };
  }
  // Only the metrics count, and they need an answer.
  tee['injectionCount'] = second.injectionCount as (...args: unknown[]) => void;
  tee['attemptInjectionCount'] = second.attemptInjectionCount as (...args: unknown[]) => void;
  tee['acceptanceCount'] = second.acceptanceCount as (...args: unknown[]) => void;
  return tee as unknown as Observer;
}
