// What Check and Process decide alike: match → mark → slot → inject, or wait for a first credential. A warm one is
// synchronous from the first byte to the last: it fetches nothing, awaits nothing and logs nothing, and its answer was
// encoded when the credential was first handed out.
import type { Credential, SourcesInForce, Subject } from '../credential/credential.ts';
import type { Clock } from '../lib/clock.ts';
import { CredentialError } from '../lib/errors.ts';
import { TokenBucket } from '../lib/token-bucket.ts';
import { type Tracer, within } from '../lib/trace.ts';
import { cutQuery } from '../policy/path.ts';
import type { Match, Policy, PolicyTable, SubjectHeaders } from '../policy/policy.ts';
import type { Rollout } from '../policy/rollout.ts';
import type { UnaryCall } from '../server/front.ts';
import type { CheckDecision, CheckReason, DeniedRequest, Observer } from '../telemetry/observer.ts';
import { waitWithin } from './deadline.ts';
import type { DenialReason } from './denial.ts';
import type { CarriedRing } from './feedback/carried-ring.ts';
import { parseSubject, subjectTextOf } from './subject-token.ts';

/** What a door knows of the request that it was asked about. */
export interface Asked {
  readonly method: string;
  /** As Envoy sends it: with its query. Used, never logged. */
  readonly path: string;
  readonly host: string;
  readonly scheme: string;
  /** Value of x-request-id; empty when there is none. */
  readonly requestId: string;
  /** Names of the policies that the route or cluster was made for; undefined when it carries no mark. */
  readonly mark: string | undefined;
  /** Monotonic ms; undefined: nothing was waited for. Set by whoever waits, and told with the decision. */
  waitingSince: number | undefined;
  /** One of PolicyTable.readHeaders; repeated ones joined with commas; undefined: there is none. */
  header(name: string): string | undefined;
}

/** The answers of one door, encoded. */
export interface Answers {
  /** Nothing of the request is touched. */
  readonly passUntouched: Uint8Array;
  /** The app's own header is removed: on_failure: pass sends the request without any credential. */
  passWithout(policy: Policy): Uint8Array;
  /** The credential in the policy's headers instead of whatever was there. */
  injection(policy: Policy, credential: Credential): Uint8Array;
  /** The same with proofs of this one request. Throws CredentialError where there can be none. */
  proven(policy: Policy, credential: Credential, request: Asked): Uint8Array;
  /** `status` in place of the reason's own. */
  denial(reason: DenialReason, retryAfterMs: number, status?: number): Uint8Array;
}

/** Where a door's decisions are counted. */
export interface Tally {
  injectionCount(policy: string, source: string): { count: number };
  /** `waitedMs`: undefined = it was there at once. */
  decided(policy: string | undefined, decision: CheckDecision, reason: CheckReason, waitedMs?: number): void;
  denied: Observer['outboundDenied'];
}

export interface DecisionDeps {
  readonly policies: PolicyTable;
  readonly store: SourcesInForce;
  readonly clock: Clock;
  /** Longest wait for a credential, milliseconds, also when the caller sent no deadline. */
  readonly maxWaitMs: number;
  readonly carried: CarriedRing;
  readonly answers: Answers;
  readonly tally: Tally;
  /** undefined = no spans. */
  readonly tracer?: Tracer | undefined;
}

export interface Decision {
  /** The policy whose credential the request gets, or the answer where it gets none. */
  policyOf(request: Asked): Policy | Uint8Array;
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

export function createDecision(deps: DecisionDeps): Decision {
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
  const forbidden = { unmatched: answers.denial('unmatched', 0), unmarked: answers.denial('unmarked', 0) };
  const ambiguous = answers.denial('ambiguous_path', 0);
  const denials = policies.policies.map(({ denies }) =>
    denies === undefined ? ambiguous : answers.denial('denied', 0, denies),
  );
  const { wouldDeny } = policies;

  function policyOf(request: Asked): Policy | Uint8Array {
    if (wouldDeny !== undefined)
      watch(request, wouldDeny(request.host, request.method, request.path, request.scheme));
    const match = policies.match(request.host, request.method, request.path, request.scheme);
    if (match === 'ambiguous_path') {
      tally.decided(undefined, 'deny', 'ambiguous_path');
      return ambiguous;
    }
    // Nothing is handed out, so no mark is asked for.
    if (match?.denies !== undefined) return refuse(match, request);
    // Whether the route was made for it: a forged Host on a route of something else draws no credential.
    if (!isMarked(request, match)) {
      return isOfDenial(request) ? passed() : withoutPolicy('unmarked');
    }
    if (match === undefined) return withoutPolicy('unmatched');
    return match.rollout === undefined ? match : rolledOut(match, match.rollout, request);
  }

  function refuse(policy: Policy, request: Asked): Uint8Array {
    tally.decided(policy.name, 'deny', 'denied');
    tally.denied(policy.name, 'enforce', deniedRequest(policy, request));
    return denials[policy.index]!;
  }

  function watch(request: Asked, policy: Policy | undefined): void {
    if (policy === undefined) return;
    tally.decided(policy.name, 'pass', 'shadow');
    tally.denied(policy.name, 'shadow', deniedRequest(policy, request));
  }

  /** Watched only, or not in the share that the policy is in force for: nothing of the request is touched. */
  function rolledOut(policy: Policy, rollout: Rollout, request: Asked): Policy | Uint8Array {
    const why = rollout.withheld(rollout.by === undefined ? undefined : request.header(rollout.by));
    if (why === undefined) return policy;
    tally.decided(policy.name, 'pass', why);
    return answers.passUntouched;
  }

  function isMarked({ mark, host, scheme }: Asked, match: Match): boolean {
    if (mark === undefined || mark === '') return match === undefined;
    if (match !== undefined && match !== 'ambiguous_path') return names(mark, match.name);
    // No rule matched. On the marked policy's own host that is an ordinary miss; on another it is a forged one.
    return mark.split(',').some((name) => {
      const policy = policies.byName(name);
      return policy !== undefined && policies.coversHost(policy, host, scheme);
    });
  }

  /** A route of denials alone: what they leave is another door's. */
  function isOfDenial({ mark, host, scheme }: Asked): boolean {
    return (mark ?? '').split(',').every((name) => {
      const policy = policies.byName(name);
      return policy?.denies !== undefined && policies.coversHost(policy, host, scheme);
    });
  }

  function passed(): Uint8Array {
    tally.decided(undefined, 'pass', 'unmarked');
    return answers.passUntouched;
  }

  function withoutPolicy(reason: 'unmarked' | 'unmatched'): Uint8Array {
    const denied = policies.unmatched === 'deny';
    tally.decided(undefined, denied ? 'deny' : 'pass', reason);
    return denied ? forbidden[reason] : answers.passUntouched;
  }

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
    policyOf,
    withhold,
    current: (policy, subjectKey) => slots[policy.index]!.peek(subjectKey),
    inject,
    injectFor,
    injectWhen,
    deny: denied,
  };
}

function deniedRequest({ denies }: Policy, { method, host, path }: Asked): DeniedRequest {
  return { method, host, path: cutQuery(path), status: denies! };
}

/** Whether `name` is one of the comma-separated names. Called for every request: no split. */
function names(mark: string, name: string): boolean {
  if (mark === name) return true;
  for (let at = mark.indexOf(name); at !== -1; at = mark.indexOf(name, at + 1)) {
    const end = at + name.length;
    if ((at === 0 || mark[at - 1] === ',') && (end === mark.length || mark[end] === ',')) return true;
  }
  return false;
}
