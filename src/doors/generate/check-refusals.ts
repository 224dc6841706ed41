// What the check door cannot serve, and why.
import type { OutboundConfig } from '../../config/config.ts';

/** Reasons against the check door, each with the way out. */
export function checkRefusals(outbound: readonly OutboundConfig[]): readonly string[] {
  return outbound.filter(({ proof }) => proof !== undefined).map((policy) => proofRefusal(policy, 'check'));
}

export function proofRefusal({ name, proof }: OutboundConfig, door: 'check' | 'push'): string {
  const what = proof?.sign === undefined ? 'DPoP proofs' : 'sign';
  return `outbound.${name}: ${what} cannot be served by ${door}, where a retry would carry the same proof; use the attempt door`;
}
