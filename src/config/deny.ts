// `outbound[].deny`: a policy that refuses, in the same first-match table as those that inject.
import * as z from 'zod';

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
