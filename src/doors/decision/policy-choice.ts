// Which policy a request belongs to, and whether the route that asks was made for it. Hot: nothing is allocated for a
// request that gets a credential.
import { cutQuery } from '../../policy/path.ts';
import type { Match, Policy, PolicyTable } from '../../policy/policy.ts';
import type { Rollout } from '../../policy/rollout.ts';
import type { DeniedRequest } from '../../telemetry/event-details.ts';
import type { Answers, Asked, Tally } from './door.ts';

export interface PolicyChoiceDeps {
  readonly policies: PolicyTable;
  readonly answers: Answers;
  readonly tally: Tally;
}

/** The policy whose credential the request gets, or the answer where it gets none. */
export type PolicyChoice = (request: Asked) => Policy | Uint8Array;

export function createPolicyChoice({ policies, answers, tally }: PolicyChoiceDeps): PolicyChoice {
  const forbidden = { unmatched: answers.denial('unmatched', 0), unmarked: answers.denial('unmarked', 0) };
  const ambiguous = answers.denial('ambiguous_path', 0);
  const denials = policies.policies.map(({ denies }) =>
    denies === undefined ? ambiguous : answers.denial('denied', 0, denies),
  );
  const { wouldDeny } = policies;

  return (request) => {
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
  };

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
