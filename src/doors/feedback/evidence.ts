// Whether a refused attempt counts against a credential: only when it certainly carried it and a new one may help.
// Pure: tables in the tests hold every row. In doubt nothing is renewed.
import type { Policy, PolicyTable } from '../../policy/policy.ts';
import type { RefusalVerdict } from '../../telemetry/event-details.ts';
import type { Acknowledgements } from '../push/acknowledgements.ts';
import type { Outcome } from './attempt-outcomes.ts';
import type { Carried } from './carried-ring.ts';
import { demandsNonce, isTokenFault } from './challenge.ts';
import type { FailedAttempt, RefusedAttempt } from './refused-attempt.ts';
import { policyOf } from './refused-share.ts';

export type Judgement =
  | {
      readonly verdict: 'counted';
      readonly policy: string;
      readonly source: string;
      readonly generation: number;
      /** Push: since when Envoy uses it, epoch ms. */
      readonly sinceEpochMs?: number;
    }
  /** `source` is '' where none of ours is concerned. */
  | { readonly verdict: Exclude<RefusalVerdict, 'counted'>; readonly source: string };

/** Envoy's workers take a secret up to 1.2 ms after its main thread acknowledged it; the rest is margin. */
const AFTER_ACK_MS = 50;

export function judgePush(
  attempt: RefusedAttempt,
  policies: PolicyTable,
  acknowledgements: Acknowledgements,
): Judgement {
  const source = sourceOf(attempt, policies);
  // A label of metrics must be one of ours.
  if (source === undefined || !policies.policies.some((p) => p.source === source)) {
    return { verdict: 'malformed', source: '' };
  }
  const policy = policyOfSource(attempt, attempt.path, source, policies);
  // Outside the share it carried what the app sent.
  const objection =
    policy?.rollout?.withheld(undefined) === undefined ? objectionOf(policy, attempt) : 'not_ours';
  if (objection) return { verdict: objection, source };
  const carried = acknowledgements.carriedSince(source, policy!.name);
  if (!carried || attempt.startedAt <= carried.sinceEpochMs + AFTER_ACK_MS) {
    return { verdict: 'in_doubt', source };
  }
  return { verdict: 'counted', policy: policy!.name, source, ...carried };
}

export function judgeCheck(
  attempt: RefusedAttempt,
  policies: PolicyTable,
  ring: Carried,
  nowMonotonicMs: number,
): Judgement {
  const { requestId, authority, method } = attempt;
  // The Check saw the path before any rewrite. The app may forge the original one, so the real one goes first.
  for (const path of new Set([attempt.path, attempt.originalPath || attempt.path])) {
    const carried = ring.find(requestId, authority, method, path, nowMonotonicMs);
    if (carried === undefined) continue;
    if (carried === 'in_doubt') return { verdict: 'in_doubt', source: '' };
    const { source, generation } = carried;
    const policy = policyOfSource(attempt, path, source, policies);
    const objection = objectionOf(policy, attempt);
    if (objection) return { verdict: objection, source };
    return { verdict: 'counted', policy: policy!.name, source, generation };
  }
  return { verdict: 'not_ours', source: '' };
}

/** Why an attempt of the attempt door failed, and whether that was the policy's credential. */
export function judgeAttempt(
  attempt: FailedAttempt,
  policies: PolicyTable,
): { readonly outcome: Outcome; readonly source: string; readonly objection: RefusalVerdict | undefined } {
  const source = sourceOf(attempt, policies);
  if (source === undefined || !policies.policies.some((p) => p.source === source)) {
    return { outcome: 'failed', source: '', objection: 'malformed' };
  }
  if (attempt.result !== 'refused') return { outcome: 'failed', source, objection: undefined };
  const policy = policyOfSource(attempt, attempt.path, source, policies);
  if (policy?.proof?.dpop && demandsNonce(attempt.wwwAuthenticate)) {
    return { outcome: 'nonce_demanded', source, objection: undefined };
  }
  const objection = objectionOf(policy, attempt);
  return { outcome: objection === undefined ? 'refused' : 'failed', source, objection };
}

/** Envoy's configuration names the source of before where the guard put another in its place. */
function sourceOf({ source, policy }: RefusedAttempt, policies: PolicyTable): string | undefined {
  const named = policy === undefined ? undefined : policies.byName(policy);
  return named?.instead !== undefined && named.instead === source ? named.source : source;
}

/** The policy that covers the request, if it injects this source. */
function policyOfSource(
  attempt: RefusedAttempt,
  path: string,
  source: string,
  policies: PolicyTable,
): Policy | undefined {
  const policy = policyOf(attempt, path, policies);
  return policy?.source === source ? policy : undefined;
}

function objectionOf(
  policy: Policy | undefined,
  attempt: RefusedAttempt,
): 'not_ours' | 'heal_off' | 'not_a_token_fault' | undefined {
  if (!policy) return 'not_ours';
  if (policy.healOn === 'off') return 'heal_off';
  return isTokenFault(policy.healOn, attempt.wwwAuthenticate) ? undefined : 'not_a_token_fault';
}
