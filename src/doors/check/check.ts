// Authorization/Check. A warm one is synchronous from the first byte to the last: it fetches nothing, awaits nothing and
// logs nothing, and its answer was encoded when the credential was first handed out.
import type { Credential, CredentialStore } from '../../credential/credential.ts';
import type { Clock } from '../../lib/clock.ts';
import { CredentialError } from '../../lib/errors.ts';
import type { Match, Policy, PolicyTable } from '../../policy/policy.ts';
import { GrpcError, GrpcStatus, type UnaryCall, type UnaryHandler } from '../../server/front.ts';
import type { Observer } from '../../telemetry/observer.ts';
import type { CarriedRing } from '../feedback/carried-ring.ts';
import { buildDenial, buildInjection, buildPassWithout, passUntouched } from './answer.ts';
import { type CheckRequest, MalformedMessage, parseCheckRequest } from './request.ts';

export const CHECK_PATH = '/envoy.service.auth.v3.Authorization/Check';

export interface CheckDeps {
  readonly policies: PolicyTable;
  readonly store: CredentialStore;
  readonly observer: Observer;
  readonly clock: Clock;
  /** Longest wait of a cold Check, milliseconds, also when the caller sent no deadline. */
  readonly maxWaitMs: number;
  readonly carried: CarriedRing;
}

// What is left of the caller's deadline is for the way back: an answer of our own must arrive before Envoy gives up.
const DEADLINE_SHARE = 0.7;

/** What a warm Check needs of one policy, in one place: with 10,000 of them each step to another object is a cache miss. */
interface Slot {
  readonly peek: () => Credential | undefined;
  readonly injections: { count: number };
  /** The answer that was encoded for this credential. */
  credential: Credential | undefined;
  answer: Uint8Array;
}

export function createCheck(deps: CheckDeps): UnaryHandler {
  const { policies, store, observer, clock, maxWaitMs, carried } = deps;
  const slots = policies.policies.map(
    ({ name, source }): Slot => ({
      peek: store.reader(source),
      injections: observer.injectionCount(name),
      credential: undefined,
      answer: passUntouched,
    }),
  );
  const without = policies.policies.map(buildPassWithout);
  const forbidden = { unmatched: buildDenial('unmatched', 0), unmarked: buildDenial('unmarked', 0) };
  const ambiguous = buildDenial('ambiguous_path', 0);

  return (message, call) => {
    // 1. What is asked.
    const request = parse(message);
    // 2. Which policy.
    const match = policies.match(request.host, request.method, request.path, request.scheme);
    if (match === 'ambiguous_path') {
      observer.checkDecided(undefined, 'deny', 'ambiguous_path');
      return ambiguous;
    }
    // 3. Whether the route was made for it: a forged Host on a route of something else draws no credential.
    if (!isMarked(request, match)) return withoutPolicy('unmarked');
    if (match === undefined) return withoutPolicy('unmatched');
    // 4. The credential, if there is a live one.
    const slot = slots[match.index]!;
    const credential = slot.peek();
    if (credential !== undefined) return inject(match, slot, credential, request);
    // 5. Else wait for one, within the caller's deadline.
    return cold(match, slot, request, call);
  };

  function parse(message: Uint8Array): CheckRequest {
    try {
      return parseCheckRequest(message);
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error;
      observer.checkDecided(undefined, 'error', 'malformed');
      throw new GrpcError(GrpcStatus.INVALID_ARGUMENT, 'malformed CheckRequest');
    }
  }

  function isMarked({ mark, host, scheme }: CheckRequest, match: Match): boolean {
    if (mark === undefined || mark === '') return match === undefined;
    if (match !== undefined && match !== 'ambiguous_path') return names(mark, match.name);
    // No rule matched. On the marked policy's own host that is an ordinary miss; on another it is a forged one.
    return mark.split(',').some((name) => {
      const policy = policies.byName(name);
      return policy !== undefined && policies.coversHost(policy, host, scheme);
    });
  }

  function withoutPolicy(reason: 'unmarked' | 'unmatched'): Uint8Array {
    const denied = policies.unmatched === 'deny';
    observer.checkDecided(undefined, denied ? 'deny' : 'pass', reason);
    return denied ? forbidden[reason] : passUntouched;
  }

  function inject(policy: Policy, slot: Slot, credential: Credential, request: CheckRequest): Uint8Array {
    if (slot.credential !== credential) {
      slot.answer = buildInjection(policy, credential);
      slot.credential = credential;
    }
    if (policy.healOn !== 'off' && request.requestId !== '') {
      carried.record(
        request.requestId,
        request.host,
        request.method,
        request.path,
        policy.source,
        credential.generation,
        clock.monotonic(),
      );
    }
    slot.injections.count++;
    return slot.answer;
  }

  async function cold(
    policy: Policy,
    slot: Slot,
    request: CheckRequest,
    call: UnaryCall,
  ): Promise<Uint8Array> {
    const timeoutMs = Math.min(maxWaitMs, (call.timeoutMs ?? Number.POSITIVE_INFINITY) * DEADLINE_SHARE);
    let reason: CredentialError['code'];
    try {
      await store.get(policy.source, timeoutMs, call.signal);
      // Read again: what the fetch brought may have ended, or been replaced, by now.
      const credential = slot.peek();
      if (credential !== undefined) return inject(policy, slot, credential, request);
      reason = 'credential_expired';
    } catch (error) {
      if (!(error instanceof CredentialError)) throw error;
      reason = error.code;
    }
    if (policy.onFailure === 'pass') {
      observer.checkDecided(policy.name, 'pass', 'passed_without');
      return without[policy.index]!;
    }
    observer.checkDecided(policy.name, 'deny', reason);
    return buildDenial(reason, store.retryAfterMs(policy.source));
  }
}

/** Whether `name` is one of the comma-separated names. Called for every Check: no split. */
function names(mark: string, name: string): boolean {
  if (mark === name) return true;
  for (let at = mark.indexOf(name); at !== -1; at = mark.indexOf(name, at + 1)) {
    const end = at + name.length;
    if ((at === 0 || mark[at - 1] === ',') && (end === mark.length || mark[end] === ',')) return true;
  }
  return false;
}
