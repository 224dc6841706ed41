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

/** By a value in the JSON body. Only Envoy sees bodies, so Envoy counts. */
export interface BodyLimitConfig extends BucketSize {
  /** From the root to a text. */
  readonly keys: readonly string[];
  /** Values with a size of their own. */
  readonly values: Readonly<Record<string, BucketSize>>;
  /** Above it a request is answered 413. */
  readonly maxBodyBytes: number;
  /** Buckets kept; the one that was unused longest goes. */
  readonly maxValues: number;
}

/** What counts: bearerd, Envoy, or neither. */
export interface Counted<Limit> {
  readonly rateLimit: Limit | undefined;
  readonly bodyLimit: BodyLimitConfig | undefined;
}

export const bodyKey = z
  .strictObject({
    body: z
      .array(z.string().min(1).max(256))
      .min(1)
      .max(8)
      .describe('Keys from the root of the JSON body to a text, e.g. [model].'),
    values: z
      .record(z.string().min(1).max(256), z.strictObject(bucketShape).transform(toBucketSize))
      .default({})
      .describe('Values with a bucket of another size.'),
    max_body_bytes: z
      .int()
      .min(1 << 10)
      .max(64 << 20)
      .default(1 << 20)
      .describe('Bodies are held back whole; above it 413. Default 1048576 (1 MiB).'),
    max_values: z.int().min(1).max(10_000).default(100).describe('Buckets kept at once. Default 100.'),
  })
  .describe('A bucket for each value in the JSON body. Counted by Envoy, as generated, through every door.');

export function toBodyLimit(
  { body, values, max_body_bytes, max_values }: z.output<typeof bodyKey>,
  size: BucketSize,
): BodyLimitConfig {
  return { ...size, keys: body, values, maxBodyBytes: max_body_bytes, maxValues: max_values };
}

/** Of an outgoing policy: one bucket for all its requests, or one for each value in their bodies. */
export const outboundRateLimit = z
  .strictObject({
    ...bucketShape,
    key: bodyKey.optional().describe('Default: one bucket for all requests of the policy.'),
  })
  .transform(({ key, ...file }): Counted<BucketSize> => {
    const size = toBucketSize(file);
    return key === undefined
      ? { rateLimit: size, bodyLimit: undefined }
      : { rateLimit: undefined, bodyLimit: toBodyLimit(key, size) };
  })
  .optional()
  .describe(
    'Requests of this policy above it are answered 429 with Retry-After, before a credential is used. Check and attempt doors only, counted in this process; with key by Envoy, through every door. Default: none.',
  );
