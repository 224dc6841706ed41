// How far a policy is in force: for every request, for a share of them, or for none, where it is only watched.
import type { RolloutConfig } from '../config/config.ts';

/** Why a request of the policy is left as it is; undefined = the policy is in force for it. */
export type Withheld = 'shadow' | 'not_in_percent' | undefined;

/** Shares are counted in hundredths of a percent. */
const WHOLE = 10_000;

export interface Rollout {
  /** The header whose value decides, lower case; undefined = the whole process is in or out. */
  readonly by: string | undefined;
  /** `value` is that of the header, if the request has it. No allocation. */
  withheld(value: string | undefined): Withheld;
}

/**
 * SDS resource by which Envoy knows whether this pod is in the policy's share: empty where it is not. The name of a source
 * is never empty, so no credential has such a name.
 */
export const shareSecretName = (policy: string): string => `/share/${policy}`;

/** undefined = in force for all. `pod` tells this process from others: its host name. */
export function compileRollout(
  policy: string,
  { mode, percent, by }: RolloutConfig,
  pod: string,
): Rollout | undefined {
  // One that is off covers no request; its share, which Envoy may still ask for, is nobody.
  if (mode !== 'enforce') return { by: undefined, withheld: () => 'shadow' };
  if (percent === undefined || percent >= 100) return undefined;
  const share = Math.round(percent * (WHOLE / 100));
  // With the policy's name: who is in one share is not in all of them.
  const isIn = (key: string): boolean => placeOf(`${policy}\0`, key) < share;
  if (by === undefined) {
    const withheld = isIn(pod) ? undefined : 'not_in_percent';
    return { by, withheld: () => withheld };
  }
  // Without the header nothing says who it is, and the next request of the same caller could be decided otherwise.
  return { by, withheld: (value) => (value !== undefined && isIn(value) ? undefined : 'not_in_percent') };
}

/** The same place for the same key in every process: FNV-1a, its low bits spread as MurmurHash3 does. */
function placeOf(policy: string, key: string): number {
  let hash = mixed(mixed(0x811c_9dc5, policy), key);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) % WHOLE;
}

function mixed(hash: number, text: string): number {
  let h = hash;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x0100_0193);
  return h;
}
