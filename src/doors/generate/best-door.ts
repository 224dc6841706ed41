// Which door serves a policy best, and why: push costs nothing a request, attempt heals whatever depends on the request,
// check decides.
import type { Config, OutboundConfig } from '../../config/config.ts';
import { attemptRefusals } from './attempt-refusals.ts';
import { pushRefusals } from './push-refusals.ts';

export type ServingDoor = 'check' | 'push' | 'attempt';

export interface BestDoor {
  readonly door: ServingDoor;
  readonly why: string;
}

export function bestDoor(config: Config, policy: OutboundConfig): BestDoor {
  if (policy.deny !== undefined) {
    return { door: 'check', why: 'a request is refused before any of it goes to an upstream' };
  }
  if (pushRefusals(config, policy).length === 0) {
    return {
      door: 'push',
      why: 'the credential does not depend on the request, so Envoy injects it from memory and asks nobody',
    };
  }
  if (attemptRefusals(config, [policy]).length === 0) {
    return {
      door: 'attempt',
      why: whyAttempt(policy),
    };
  }
  return { door: 'check', why: 'neither push nor attempt can serve it' };
}

function whyAttempt({ proof, subject }: OutboundConfig): string {
  if (proof !== undefined) return 'each attempt is signed anew';
  return subject === undefined
    ? 'push cannot serve it, and a retry of the same request carries a new credential'
    : 'each user has a credential of their own, and a retry of the same request carries a new one';
}
