// An observer that keeps every event as one array, for tests that look at what was told.
import { nullObserver, type Observer } from '../../src/telemetry/observer.ts';

export type RecordedEvent = readonly [name: string, ...args: unknown[]];

export interface RecordingObserver {
  readonly observer: Observer;
  readonly events: RecordedEvent[];
  /** Arguments of every event of this name, in order. */
  named(name: keyof Observer): unknown[][];
}

export function createRecordingObserver(): RecordingObserver {
  const events: RecordedEvent[] = [];
  const observer = Object.fromEntries(
    Object.keys(nullObserver).map((name) => [name, (...args: unknown[]) => events.push([name, ...args])]),
  ) as unknown as Observer;
  observer.injectionCount = () => ({ count: 0 });
  observer.attemptInjectionCount = () => ({ count: 0 });
  observer.acceptanceCount = () => ({ count: 0 });
  observer.callerCount = () => ({ count: 0, ended: false });
  return {
    observer,
    events,
    named: (name) => events.filter((event) => event[0] === name).map(([, ...args]) => args),
  };
}
