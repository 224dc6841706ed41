// What a handler knows of its call. The AbortSignal exists only if somebody asks for it: most answers are immediate.
import type { UnaryCall } from './front.ts';

export interface PendingCall extends UnaryCall {
  /** The caller gave up or its deadline passed. */
  abort(): void;
}

class LazyCall implements PendingCall {
  readonly timeoutMs: number | undefined;
  #aborted = false;
  #controller: AbortController | undefined;

  constructor(timeoutMs: number | undefined) {
    this.timeoutMs = timeoutMs;
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#aborted) this.#controller.abort();
    return this.#controller.signal;
  }

  abort(): void {
    this.#aborted = true;
    this.#controller?.abort();
  }
}

export function createPendingCall(timeoutMs: number | undefined): PendingCall {
  return new LazyCall(timeoutMs);
}
