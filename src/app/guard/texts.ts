// What people are told of the guard: what happened, and what to do. The same in the log's detail, readiness, status and doctor.
import type { Alarm } from '../../policy/guard/versions.ts';
import type { GuardStatus } from './rollout-guard.ts';

export const NOTES: Readonly<Record<Alarm, string>> = {
  stepped_back: 'was stepped back to its last good version',
  withdrawn: 'was withdrawn from its share',
  nothing_to_step_back_to: 'makes requests fail, and there is no version to step back to',
};

/** Prints what push would need, and nothing applies it. */
export const MANIFEST_COMMAND =
  '"bearerd generate istio --stepped-back" (or "generate envoy") prints the manifest';

export const BLIND = {
  noAdmin: 'its requests go by push, which only Envoy counts, and envoy_admin is missing',
  noStatistics: `Envoy keeps no statistics of its cluster, or several policies share the host (docs/rollout.md, "Push")`,
};

export interface GuardFinding {
  readonly what: string;
  readonly fix: string;
}

export function guardFindings({
  version,
  good,
  alarm,
  manifest,
  blind,
}: GuardStatus): readonly GuardFinding[] {
  const found: GuardFinding[] = [];
  if (alarm === 'nothing_to_step_back_to') {
    found.push({
      what: `version ${version} ${NOTES[alarm]}: it stays in force`,
      fix: 'put the configuration of before in force',
    });
  } else if (alarm !== undefined) {
    const to = alarm === 'stepped_back' ? `, ${good}` : '';
    found.push({
      what: `version ${version} ${NOTES[alarm]}${to}`,
      fix: 'change the policy: one with another hash is tried anew',
    });
  }
  if (manifest !== undefined) {
    found.push({
      what: `through push version ${version} goes on: ${manifest}`,
      fix: `${MANIFEST_COMMAND} of the good version, to apply until the policy is changed`,
    });
  }
  if (blind !== undefined) {
    found.push({
      what: `the guard sees no request of it: ${blind}`,
      fix: 'set envoy_admin; in Istio add the annotation that "bearerd generate istio" prints',
    });
  }
  return found;
}
