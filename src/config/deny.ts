// `outbound[].deny`: a policy that refuses, in the same first-match table as those that inject.
import * as z from 'zod';
import type { ConfigFile } from './schema.ts';
import type { Path } from './yaml-document.ts';

export interface DenyConfig {
  /** HTTP status that the app sees. */
  readonly status: 403 | 404 | 410 | 451;
}

export const deny = z
  .union(
    [
      z.literal(true).transform((): DenyConfig => ({ status: 403 })),
      z.strictObject({
        // 401 would send the app to a login, and 405 has to list the methods (RFC 9110 section 15.5.6).
        status: z.literal([403, 404, 410, 451]).default(403).describe('403, 404, 410 or 451. Default 403.'),
      }),
    ],
    { error: 'expected true or { status: 403 }, where 404, 410 and 451 may stand too' },
  )
  .describe('Instead of inject: these requests are refused and reach no upstream. true or { status: 403 }.');

/** What is said of a credential has no meaning where there is none. */
export function denialProblems(
  { outbound, listen, ambiguous_path: ambiguousPath }: ConfigFile,
  report: (path: Path, message: string) => void,
): void {
  outbound.forEach((policy, i) => {
    if (policy.deny === undefined) return;
    const at: Path = ['outbound', i];
    const stated = {
      upstream_url: policy.upstream_url !== undefined,
      sign: policy.sign !== undefined,
      heal_on: policy.heal_on !== undefined,
      on_failure: policy.on_failure === 'pass',
      rate_limit: policy.rate_limit !== undefined,
      guard: policy.guard !== undefined,
      resilience: policy.resilience !== undefined,
      allow_plaintext: policy.allow_plaintext,
      never_stale: policy.never_stale,
    };
    for (const [key, is] of Object.entries(stated)) {
      if (is) report([...at, key], 'does not go with deny: no request of the policy reaches an upstream');
    }
    if (policy.mode.percent !== undefined) {
      report([...at, 'mode'], 'a denial is in force for all: expected off, shadow or enforce');
    }
    if (policy.match.paths !== undefined && ambiguousPath === 'no_match') {
      report(
        [...at, 'match', 'paths'],
        'a denial by path needs ambiguous_path: deny: else //admin passes by one of /admin (or exact_bytes, where upstreams read paths byte by byte)',
      );
    }
    if (listen.check === undefined) {
      report([...at, 'deny'], 'needs listen.check: push sees no request that it could refuse');
    }
  });
}
