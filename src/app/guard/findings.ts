// What the guard says of a policy, each with what to do: in the status and in doctor.
import type { GuardStatus } from './rollout-guard.ts';
import { MANIFEST_COMMAND, NOTES } from './texts.ts';

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
