// A token bucket in the configuration: so many requests in a time, so many at once. The same for both sides.
import * as z from 'zod';
import type { BucketSize } from '../lib/token-bucket.ts';
import { duration } from './schema-values.ts';

export const bucketShape = {
  requests: z.int().min(1).max(1_000_000).describe('So many requests …'),
  per: duration({ minMs: 100, maxMs: 86_400_000 }).prefault('1s').describe('… in this time. Default 1s.'),
  burst: z.int().min(1).max(1_000_000).optional().describe('So many at once. Default: requests.'),
};

export function toBucketSize(file: {
  readonly requests: number;
  readonly per: number;
  readonly burst?: number | undefined;
}): BucketSize {
  return { requests: file.requests, perMs: file.per, burst: file.burst ?? file.requests };
}

/** Of an outgoing policy: one bucket for all its requests. */
export const outboundRateLimit = z
  .strictObject(bucketShape)
  .transform(toBucketSize)
  .optional()
  .describe(
    'Requests of this policy above it are answered 429 with Retry-After, before a credential is used. Check and attempt doors only; counted in this process. Default: none.',
  );
