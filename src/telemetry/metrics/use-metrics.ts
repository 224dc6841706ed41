// How often the credentials of each source were used, by API key. No request pays for it: what the policies of a source
// injected since the last look is put down to the key that the source had until then.
import { Counter, type Registry } from 'prom-client';
import type { Observer } from '../observer.ts';

type Events = Pick<
  Observer,
  'injectionCount' | 'attemptInjectionCount' | 'requestEnded' | 'keyRingRead' | 'credentialPublished'
>;

interface OfSource {
  /** Injections of each of its policies that were counted. */
  readonly policies: Map<string, number>;
  issuedBy: string;
  keyId: string | undefined;
}

/** `injectionsOf` = of a policy so far, through the check and the attempt door. */
export function createUseMetrics(registers: Registry[], injectionsOf: (policy: string) => number): Events {
  const sources = new Map<string, OfSource>();
  const takenBy = new Map<string, OfSource>();
  const pushed = new Map<string, number>();
  const rings = new Map<string, ReadonlySet<string>>();
  const uses = new Counter({
    name: 'bearerd_credential_uses_total',
    help: 'Requests that were given a credential, by the source that it is of and the key of its ring; key is empty where there is no ring. Through the push door with access_log: full.',
    labelNames: ['source', 'key'],
    registers,
    collect() {
      for (const source of sources.values()) countUp(source);
    },
  });

  function of(source: string): OfSource {
    const known = sources.get(source) ?? { policies: new Map(), issuedBy: source, keyId: undefined };
    sources.set(source, known);
    return known;
  }

  function usesOf(policy: string): number {
    return injectionsOf(policy) + (pushed.get(policy) ?? 0);
  }

  function countUp({ policies, issuedBy, keyId = '' }: OfSource): void {
    // Ids of others than rings come and go: providers and signers choose them.
    const key = rings.get(issuedBy)?.has(keyId) === true ? keyId : '';
    for (const [policy, counted] of policies) {
      const now = usesOf(policy);
      if (now === counted) continue;
      policies.set(policy, now);
      uses.inc({ source: issuedBy, key }, now - counted);
    }
  }

  function take(policy: string, source: string): { count: number } {
    const before = takenBy.get(policy);
    const taken = of(source);
    if (before !== undefined && before !== taken) {
      countUp(before);
      before.policies.delete(policy);
    }
    if (before !== taken) taken.policies.set(policy, usesOf(policy));
    takenBy.set(policy, taken);
    return { count: 0 };
  }

  return {
    injectionCount: take,
    attemptInjectionCount: take,
    requestEnded(policy, door) {
      if (policy !== undefined && door === 'push') pushed.set(policy, (pushed.get(policy) ?? 0) + 1);
    },
    keyRingRead(source, keys) {
      rings.set(source, new Set([...(rings.get(source) ?? []), ...keys.map(({ id }) => id)]));
    },
    credentialPublished(source, _generation, _expiresAt, keyId, issuedBy) {
      const published = of(source);
      countUp(published);
      Object.assign(published, { issuedBy, keyId });
    },
  };
}
