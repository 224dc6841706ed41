// One token endpoint as all sources that use it share it: breaker, cap and turns, and a time limit for each call. What is
// not let through is answered at once with the endpoint's last failure.
import { type Allowance, createAllowance } from '../../credential/allowance.ts';
import type { IssueRequest } from '../../credential/credential.ts';
import {
  BACKGROUND_PATIENCE_MS,
  CALL_MS,
  HEDGE_AFTER_MS,
  PROBE_MS,
  QUEUE_LENGTH,
} from '../../credential/numbers.ts';
import { createRate } from '../../credential/rate.ts';
import type { Clock, Timer } from '../../lib/clock.ts';
import { CredentialError } from '../../lib/errors.ts';
import type { EndpointRefusal } from '../../telemetry/event-details.ts';
import type { Observer } from '../../telemetry/observer.ts';
import { type BreakerState, type Caller, createBreaker, type Outcome } from './breaker.ts';
import { createTurnQueue, type Dropped, type Lane } from './queue.ts';

export interface Endpoint {
  readonly name: string;
  /**
   * Calls `send` when it may be called. Rejects with what `send` rejected with, or with CredentialError without a call.
   * `limitMs` = of the call itself.
   */
  run<T>(
    source: string,
    request: IssueRequest,
    send: (signal: AbortSignal) => Promise<T>,
    limitMs?: number,
  ): Promise<T>;
  status(): EndpointStatus;
}

export interface EndpointStatus {
  readonly endpoint: string;
  readonly breaker: BreakerState;
  readonly inFlight: number;
  readonly queued: number;
  readonly refreshesPerHour: number;
}

export interface EndpointDeps {
  readonly clock: Clock;
  readonly random: () => number;
  readonly observer: Observer;
  /** Renewals in the background; undefined = by the lifetimes. */
  readonly refreshesPerHour: number | undefined;
}

export function createEndpoint(name: string, deps: EndpointDeps): Endpoint {
  const { clock, observer } = deps;
  const allowance: Allowance = createAllowance(deps.refreshesPerHour, clock);
  const queue = createTurnQueue(clock);
  // A little less than the timers' pause, which would else find the next one not quite there.
  const hedges = createRate(1, PROBE_MS * 0.9, clock);
  const breaker = createBreaker({
    clock,
    random: deps.random,
    changed: (state) => observer.breakerChanged(name, state),
  });
  observer.breakerChanged(name, 'closed');
  let lastFailure: CredentialError | undefined;
  let joined = 0;

  function refusal(why: EndpointRefusal, retryAfterMs?: number): CredentialError {
    observer.endpointRefused(name, why);
    const { code, told } = REFUSALS[why];
    return new CredentialError(
      code ?? lastFailure?.code ?? 'source_unavailable',
      code === undefined && lastFailure !== undefined ? `${lastFailure.message}; ${told}` : told,
      { retryable: true, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) },
    );
  }

  /** Resolves with how it may be called. */
  async function admitted(caller: Caller, deadline: number, signal: AbortSignal): Promise<'call' | 'probe'> {
    for (;;) {
      if (signal.aborted) throw refusal('abandoned');
      if (deadline <= clock.monotonic()) throw refusal('past_deadline');
      const admission = breaker.admit(caller);
      if (admission.may === 'call' || admission.may === 'probe') return admission.may;
      if (admission.may === 'not') {
        // In the background its own back-off is the better guess than the moment of the next probe.
        const told = caller.waiting || admission.why === 'retry_after' ? admission.inMs : undefined;
        throw refusal(admission.why, told);
      }
      if (joined >= QUEUE_LENGTH) throw refusal('queue_full');
      joined++;
      await admission.over;
      joined--;
    }
  }

  async function attempt<T>(
    caller: Caller,
    as: 'call' | 'probe',
    request: IssueRequest,
    send: (signal: AbortSignal) => Promise<T>,
    limitMs: number,
  ): Promise<T> {
    const controller = new AbortController();
    const abort = () => controller.abort();
    request.signal.addEventListener('abort', abort, { once: true });
    const limit = clock.setTimer(abort, limitMs);
    const why = as === 'probe' ? 'probe' : caller.waiting ? 'waiting' : 'background';
    observer.endpointCalled(name, why);
    let outcome: Outcome = { kind: 'abandoned' };
    try {
      const sent = hedged(send, controller.signal, hedgeAfterMs(caller));
      const result = await Promise.race([sent, aborted(controller.signal, limitMs)]);
      outcome = { kind: 'answered' };
      lastFailure = undefined;
      if (request.refused === undefined) allowance.came();
      return result;
    } catch (error) {
      outcome = outcomeOf(error, request.signal.aborted);
      if (outcome.kind === 'failed') lastFailure = error as CredentialError;
      throw error;
    } finally {
      limit.cancel();
      // What is still under way beside the one that answered.
      controller.abort();
      request.signal.removeEventListener('abort', abort);
      breaker.ended(caller, as, outcome);
    }
  }

  /** Nobody who waits hangs on one connection, least of all of an endpoint that failed last time. */
  function hedgeAfterMs({ waiting, leftMs }: Caller): number {
    if (waiting) return lastFailure === undefined ? HEDGE_AFTER_MS : PROBE_MS;
    // A renewal is waited for from the end of the old credential on.
    return Math.max(HEDGE_AFTER_MS, leftMs ?? Number.POSITIVE_INFINITY);
  }

  /**
   * After `afterMs` without an answer another call every 500 ms: one that was swallowed never tells that the way is free
   * again. The first answer counts. One in 500 ms for all calls of the endpoint: what is slow because of its load must not
   * get more of it.
   */
  function hedged<T>(
    send: (signal: AbortSignal) => Promise<T>,
    signal: AbortSignal,
    afterMs: number,
  ): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    let open = 0;
    let timer: Timer | undefined;
    function next(nextMs: number): void {
      if (signal.aborted) return;
      if (nextMs < CALL_MS) timer = clock.setTimer(() => next(PROBE_MS), nextMs);
      if (open > 0) {
        if (!hedges.take()) return;
        observer.endpointCalled(name, 'probe');
      }
      open++;
      send(signal).then(resolve, (error: unknown) => {
        if (--open === 0) reject(error);
      });
    }
    next(afterMs);
    return promise.finally(() => timer?.cancel());
  }

  return {
    name,
    async run(source, request, send, limitMs = CALL_MS) {
      const { neededBy, refused, subject, signal, leftMs } = request;
      const waiting = neededBy !== undefined || refused !== undefined;
      const caller: Caller = {
        who: subject === undefined ? source : `${source}/${subject.key}`,
        waiting,
        leftMs,
      };
      const now = clock.monotonic();
      const deadline = neededBy ?? now + (waiting ? CALL_MS : (leftMs ?? BACKGROUND_PATIENCE_MS));
      if ((await admitted(caller, deadline, signal)) === 'probe') {
        return attempt(caller, 'probe', request, send, limitMs);
      }
      const lane: Lane = waiting ? 'waiting' : 'background';
      const bytes = (subject?.token.length ?? 0) + (subject?.actor?.length ?? 0);
      const dropped: Dropped | undefined = await queue.enter({ lane, deadline, bytes, signal });
      if (dropped !== undefined) throw refusal(dropped);
      try {
        // It may have opened meanwhile: what stood in line is not sent after those that failed.
        if (breaker.state !== 'closed') throw refusal('breaker_open');
        if (!waiting && !allowance.take()) throw refusal('refresh_cap');
        return await attempt(caller, 'call', request, send, limitMs);
      } finally {
        queue.leave(lane);
      }
    },
    status: () => ({
      endpoint: name,
      breaker: breaker.state,
      inFlight: queue.inFlight('background') + queue.inFlight('waiting'),
      queued: queue.length,
      refreshesPerHour: allowance.perHour,
    }),
  };
}

function aborted(signal: AbortSignal, limitMs: number): Promise<never> {
  return new Promise((_, reject) => {
    const fail = () =>
      reject(
        new CredentialError('source_timeout', `no answer within ${limitMs / 1_000} s`, { retryable: true }),
      );
    signal.addEventListener('abort', fail, { once: true });
  });
}

/** A refusal of the provider is an answer; an unreadable secret never became a call. */
function outcomeOf(error: unknown, abandoned: boolean): Outcome {
  if (abandoned) return { kind: 'abandoned' };
  if (!(error instanceof CredentialError)) return { kind: 'answered' };
  switch (error.code) {
    case 'source_timeout':
    case 'source_unavailable':
      return { kind: 'failed', retryAfterMs: error.retryAfterMs };
    case 'secret_unreadable':
      return { kind: 'abandoned' };
    default:
      return { kind: 'answered' };
  }
}

/** No code = that of the last failure, which is why. */
const REFUSALS: Readonly<
  Record<EndpointRefusal, { readonly code?: CredentialError['code']; readonly told: string }>
> = {
  breaker_open: { told: 'asked again in a moment' },
  retry_after: { told: 'asked again when its Retry-After is over' },
  refresh_cap: { code: 'source_unavailable', told: 'limits.refreshes_per_hour is reached' },
  queue_full: { code: 'source_unavailable', told: 'more calls wait for this provider than may' },
  past_deadline: { code: 'credential_pending', told: 'nobody waited for it any more' },
  abandoned: { code: 'source_timeout', told: 'given up before it was sent' },
};
