// Whether a refused request carried its policy's credential, or was of the share that the policy is not yet in force for:
// what the guard compares. Pure. What cannot be told is not counted.
import type { Policy, PolicyTable } from '../../policy/policy.ts';
import type { Carried } from './carried-ring.ts';
import { demandsNonce } from './challenge.ts';
import type { RefusedAttempt } from './refused-attempt.ts';

export type Share = 'enforced' | 'withheld';

/** Where refused requests are counted for the guard. `startedAt` in epoch ms of Envoy's clock. */
export interface RefusalCount {
  refused(policy: string, share: Share, path: string, startedAt: number): void;
  /** Of a request that Envoy's own statistics count. */
  refusedOn(policy: string, path: string): void;
}

export function refusedShare(
  attempt: RefusedAttempt,
  policies: PolicyTable,
  ring: Carried,
  nowMonotonicMs: number,
): { readonly policy: Policy; readonly share: Share; readonly path: string } | undefined {
  const { requestId, authority, method } = attempt;
  // As in evidence.ts: the app may forge the original path, so the real one goes first.
  for (const path of new Set([attempt.path, attempt.originalPath || attempt.path])) {
    const policy = policyOf(attempt, path, policies);
    if (policy === undefined) continue;
    // The first answer to a proof without the server's nonce is no fault (RFC 9449, section 8).
    if (policy.proof?.dpop && demandsNonce(attempt.wwwAuthenticate)) return undefined;
    const carried = ring.find(requestId, authority, method, path, nowMonotonicMs);
    if (carried === 'in_doubt' || carried?.source === policy.source)
      return { policy, share: 'enforced', path };
    // With on_failure: pass a request without the credential may as well be one that found none.
    if (carried === undefined && requestId !== '' && policy.rollout && policy.onFailure === 'deny')
      return { policy, share: 'withheld', path };
  }
  return undefined;
}

export function policyOf(
  { authority, method, scheme }: RefusedAttempt,
  path: string,
  policies: PolicyTable,
): Policy | undefined {
  const match = policies.match(authority, method, path, scheme);
  return match === 'ambiguous_path' ? undefined : match;
}
