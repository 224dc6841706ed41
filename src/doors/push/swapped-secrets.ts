// What the push door can do of a step back of the guard: Envoy's configuration stays, and with it headers and hosts, so only
// a secret's content changes. Whatever that cannot bring back goes on as it is and is told.

import { fingerprint } from '../../lib/fingerprint.ts';
import type { Instead } from '../../policy/guard/versions.ts';
import { compileInjection } from '../../policy/injection.ts';
import type { Policy } from '../../policy/policy.ts';
import type { MadeOf } from './served-secrets.ts';

export interface SwappedSecrets {
  readonly secrets: ReadonlyMap<string, MadeOf>;
  /** Policies for which Envoy's configuration would have to change, each with why. */
  readonly manifests: ReadonlyMap<string, string>;
}

/** `given`: the policies that Envoy's configuration was made of. */
export function swapSecrets(
  insteads: ReadonlyMap<string, Instead>,
  given: readonly Policy[],
): SwappedSecrets {
  const secrets = new Map<string, MadeOf>();
  const manifests = new Map<string, string>();
  for (const [name, instead] of insteads) {
    const why = obstacle(name, instead, given);
    if (why !== undefined) {
      manifests.set(name, why);
      continue;
    }
    const { source } = instead.inForce.inject;
    const before = compileInjection(instead.inForce.inject).headers;
    for (const header of compileInjection(instead.given.inject).headers) {
      const content = before.find((one) => one.name === header.name)!;
      secrets.set(header.secretName, { source, header: content, allowedAs: instead.given.inject.source });
    }
  }
  return { secrets, manifests };
}

function obstacle(
  name: string,
  { given: now, inForce: before }: Instead,
  given: readonly Policy[],
): string | undefined {
  if (fingerprint(now.match) !== fingerprint(before.match)) {
    return 'its match was another: a credential goes to no host that it was not made for';
  }
  if (headerNames(now) !== headerNames(before)) return `its headers were others: ${headerNames(before)}`;
  const names = new Set(compileInjection(now.inject).headers.map(({ secretName }) => secretName));
  const other = given.find(
    (policy) => policy.name !== name && policy.injection.headers.some((one) => names.has(one.secretName)),
  );
  return other && `its secret is also that of policy ${other.name}`;
}

function headerNames({ inject }: Instead['given']): string {
  return inject.headers
    .map((header) => header.name)
    .sort()
    .join(', ');
}
