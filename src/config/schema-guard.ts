// The schema of the guard of a policy that is rolled out, and of what it works with.
import * as z from 'zod';
import { isLoopback } from '../lib/address.ts';
import { refuse } from './invalid.ts';
import { parseListenAddress } from './listen-address.ts';
import { duration, parsed } from './schema-values.ts';

export interface GuardConfig {
  /** How much more of the enforced share may fail than of the share not yet enforced, of a hundred. */
  readonly percent: number;
  /** Fewer tell nothing. */
  readonly requests: number;
  /** For so long without alarm makes a version good. */
  readonly goodAfterMs: number;
}

export const guard = z
  .strictObject({
    percent: z
      .number()
      .gt(0)
      .max(100)
      .default(5)
      .describe(
        'How much more of the requests with the credential may be answered 401, or find no credential, than is refused of the share not yet enforced, in percent of requests. Default 5.',
      ),
    requests: z
      .int()
      .min(10)
      .max(1_000_000)
      .default(100)
      .describe('The least number of requests to judge by. Default 100.'),
    good_after: duration({ minMs: 1_000, maxMs: 86_400_000 })
      .prefault('10m')
      .describe('Without alarm for so long, and over `requests`, a version is good: 1s to 24h. Default 10m.'),
  })
  .transform(
    ({ percent, requests, good_after }): GuardConfig => ({ percent, requests, goodAfterMs: good_after }),
  )
  .optional()
  .describe(
    'Watches a new version of this policy, and a share, and steps its injection back to the last good version by itself. {} for the defaults. Default: none.',
  );

export const envoyAdmin = parsed(z.string(), (text) => {
  const address = parseListenAddress(text);
  if (address.kind === 'unix' || isLoopback(address.host)) return address;
  return refuse(`expected the Envoy beside this process, on loopback or a Unix socket, got "${text}"`);
})
  .optional()
  .describe(
    'Admin interface of the Envoy beside it, 127.0.0.1:15000 or unix:///PATH: its statistics tell the guard of policies served by push. Default: none.',
  );
