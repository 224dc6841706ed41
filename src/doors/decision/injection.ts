// The credential of a policy put on a request, or waited for first. A warm one is synchronous from the first byte to the
// last: it fetches nothing, awaits nothing and logs nothing, and its answer was encoded when the credential was first
// handed out.
import type { Credential, SourcesInForce, Subject } from '../../credential/credential.ts';
import type { Clock } from '../../lib/clock.ts';
import { CredentialError } from '../../lib/errors.ts';
import { TokenBucket } from '../../lib/token-bucket.ts';
import { type Tracer, within } from '../../lib/trace.ts';
import type { Policy, SubjectHeaders } from '../../policy/policy.ts';
import type { UnaryCall } from '../../server/front.ts';
import { waitWithin } from '../deadline.ts';
import type { DenialReason } from '../denial.ts';
import type { CarriedRing } from '../feedback/carried-ring.ts';
import { parseSubject, subjectTextOf } from '../subject-token.ts';
import type { Asked } from './door.ts';
import type { PolicyChoiceDeps } from './policy-choice.ts';

export interface InjectionDeps extends PolicyChoiceDeps {
  readonly store: SourcesInForce;
  readonly clock: Clock;
  /** Longest wait for a credential, milliseconds, also when the caller sent no deadline. */
  readonly maxWaitMs: number;
  readonly carried: CarriedRing;
  /** undefined = no spans. */
  readonly tracer?: Tracer | undefined;
}

export interface Injection {
  /** The current credential of the policy, or of one of its subjects, if it may be used. */
  current(policy: Policy, subjectKey?: string): Credential | undefined;
  /** The current credential; when there is none waits for one, within `maxWaitMs` and the caller's deadline. */
  inject(policy: Policy, request: Asked, call: UnaryCall): Uint8Array | Promise<Uint8Array>;
  /** The same for a subject that is known already. */
  injectFor(
    subject: Subject,
    policy: Policy,
    request: Asked,
    call: UnaryCall,
  ): Uint8Array | Promise<Uint8Array>;
  /**
   * Waits for what `ask` promises, under a span of the request's trace, then injects what is current, or for a subject this
   * one. A CredentialError is the denial, or on_failure: pass.
   */
  injectWhen(
    ask: () => Promise<Credential>,
    policy: Policy,
    request: Asked,
    subjectKey?: string,
  ): Promise<Uint8Array>;
  /** A denial, whatever on_failure says. */
  withhold(policy: Policy, reason: DenialReason): Uint8Array;
  /** A denial, or on_failure: pass. */
  deny(policy: Policy, request: Asked, reason: CredentialError['code'], retryAfterMs: number): Uint8Array;
}

/** What a warm answer needs of one policy, in one place: with 10,000 of them each step to another object is a cache miss. */
interface Slot {
  readonly peek: (subjectKey?: string) => Credential | undefined;
  readonly injections: { count: number };
  readonly limit: TokenBucket | undefined;
  /** The answer that was encoded for this credential. */
  credential: Credential | undefined;
  answer: Uint8Array;
}

export function createInjection(deps: InjectionDeps): Injection {
  const { policies, store, clock, maxWaitMs, carried, answers, tally, tracer } = deps;
  const slots = policies.policies.map(
    ({ name, denies, source, rateLimit }): Slot => ({
      peek: denies === undefined ? store.reader(source) : () => undefined,
      injections: denies === undefined ? tally.injectionCount(name, source) : { count: 0 },
      limit: rateLimit && new TokenBucket(rateLimit, clock.monotonic()),
      credential: undefined,
      answer: answers.passUntouched,
    }),
  );
  const without = policies.policies.map((policy) => answers.passWithout(policy));

  function inject(policy: Policy, request: Asked, call: UnaryCall): Uint8Array | Promise<Uint8Array> {
    const { limit } = slots[policy.index]!;
    if (limit !== undefined) {
      const waitMs = limit.take(clock.monotonic());
      // Whatever on_failure says: a limit that lets pass is none.
      if (waitMs > 0) {
        tally.decided(policy.name, 'deny', 'rate_limited');
        return answers.denial('rate_limited', waitMs);
      }
    }
    if (policy.subject !== undefined) return injectForSubject(policy, policy.subject, request, call);
    const slot = slots[policy.index]!;
    const credential = slot.peek();
    if (credential !== undefined) return warm(policy, slot, credential, request);
    return injectWhen(() => store.get(policy.source, timeoutOf(call), call.signal), policy, request);
  }

  function injectForSubject(
    policy: Policy,
    names: SubjectHeaders,
    request: Asked,
    call: UnaryCall,
  ): Uint8Array | Promise<Uint8Array> {
    const text = subjectTextOf(request, names);
    if (text === undefined) return denied(policy, request, 'subject_missing', 0);
    const credential = slots[policy.index]!.peek(text.key);
    if (credential !== undefined) return forSubject(policy, credential, request);
    const subject = parseSubject(text);
    if (subject === undefined) return denied(policy, request, 'subject_malformed', 0);
    return injectFor(subject, policy, request, call);
  }

  function injectFor(
    subject: Subject,
    policy: Policy,
    request: Asked,
    call: UnaryCall,
  ): Uint8Array | Promise<Uint8Array> {
    const credential = slots[policy.index]!.peek(subject.key);
    if (credential !== undefined) return forSubject(policy, credential, request);
    const ask = () => store.get(policy.source, timeoutOf(call), call.signal, subject);
    return injectWhen(ask, policy, request, subject.key);
  }

  function timeoutOf({ timeoutMs }: UnaryCall): number {
    return waitWithin(maxWaitMs, timeoutMs);
  }

  function warm(policy: Policy, slot: Slot, credential: Credential, request: Asked): Uint8Array {
    if (policy.proof !== undefined) return prove(policy, credential, request);
    if (slot.credential !== credential) {
      slot.answer = answers.injection(policy, credential);
      slot.credential = credential;
    }
    injected(policy, slot, credential, request);
    return slot.answer;
  }

  // Its answer is not kept: it would double what a subject costs in memory, outside the bound of the store.
  function forSubject(policy: Policy, credential: Credential, request: Asked): Uint8Array {
    if (policy.proof !== undefined) return prove(policy, credential, request);
    injected(policy, slots[policy.index]!, credential, request);
    return answers.injection(policy, credential);
  }

  function prove(policy: Policy, credential: Credential, request: Asked): Uint8Array {
    try {
      const answer = answers.proven(policy, credential, request);
      injected(policy, slots[policy.index]!, credential, request);
      return answer;
    } catch (error) {
      if (!(error instanceof CredentialError)) throw error;
      return denied(policy, request, error.code, 0);
    }
  }

  /** A warm answer, of microseconds, is counted and not timed: two looks at the clock would be 2 % of it. */
  function injected(policy: Policy, slot: Slot, credential: Credential, request: Asked): void {
    if (request.waitingSince === undefined) slot.injections.count++;
    else tally.decided(policy.name, 'inject', 'injected', waitedMs(request));
    if (policy.remembered && request.requestId !== '') {
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
  }

  function waitedMs({ waitingSince }: Asked): number | undefined {
    return waitingSince === undefined ? undefined : clock.monotonic() - waitingSince;
  }

  async function injectWhen(
    ask: () => Promise<Credential>,
    policy: Policy,
    request: Asked,
    subjectKey?: string,
  ): Promise<Uint8Array> {
    const attributes = { 'bearerd.policy': policy.name, 'bearerd.source': policy.source };
    const span = tracer?.start('bearerd.wait', attributes, (name) => request.header(name));
    request.waitingSince ??= clock.monotonic();
    let reason: CredentialError['code'] | undefined;
    try {
      const brought = await within(span, ask);
      if (policy.subject !== undefined) return forSubject(policy, brought, request);
      // Read again: what the fetch brought may have ended, or been replaced, by now.
      const slot = slots[policy.index]!;
      const credential = slot.peek();
      if (credential !== undefined) return warm(policy, slot, credential, request);
      reason = 'credential_expired';
    } catch (error) {
      if (!(error instanceof CredentialError)) throw error;
      reason = error.code;
    } finally {
      span?.end(reason);
    }
    return denied(policy, request, reason, store.retryAfterMs(policy.source, subjectKey));
  }

  function denied(
    policy: Policy,
    request: Asked,
    reason: CredentialError['code'],
    retryAfterMs: number,
  ): Uint8Array {
    if (policy.onFailure === 'pass') {
      tally.decided(policy.name, 'pass', 'passed_without', waitedMs(request));
      return without[policy.index]!;
    }
    tally.decided(policy.name, 'deny', reason, waitedMs(request));
    return answers.denial(reason, retryAfterMs);
  }

  function withhold(policy: Policy, reason: DenialReason): Uint8Array {
    tally.decided(policy.name, 'deny', reason);
    return answers.denial(reason, 0);
  }

  return {
    withhold,
    current: (policy, subjectKey) => slots[policy.index]!.peek(subjectKey),
    inject,
    injectFor,
    injectWhen,
    deny: denied,
  };
}
