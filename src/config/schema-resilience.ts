// The schema of what Envoy does about an upstream that fails. bearerd only writes it down: nothing here is on by itself.
import * as z from 'zod';
import { duration } from './schema-values.ts';

const seconds = duration({ minMs: 1_000, maxMs: 3_600_000 });
const count = z.int().min(1).max(1_000_000);

const outlierDetection = z
  .strictObject({
    consecutive_errors: count.default(5).describe('5xx answers and failed connections in a row. Default 5.'),
    ejection_time: seconds.prefault('30s').describe('Grows with each time. Default 30s.'),
    max_ejected_percent: z
      .int()
      .min(1)
      .max(100)
      .default(50)
      .describe('Of the addresses of the host. Default 50.'),
  })
  .transform((file) => ({
    consecutiveErrors: file.consecutive_errors,
    ejectionTimeMs: file.ejection_time,
    maxEjectedPercent: file.max_ejected_percent,
  }))
  .optional()
  .describe('An address that fails so often in a row gets no requests for a time. Default: off.');

const connections = z
  .strictObject({
    max: count.optional().describe('Connections of one Envoy.'),
    max_pending: count.optional().describe('Requests that wait for a connection.'),
    max_requests: count.optional().describe('Requests under way.'),
    requests_per_connection: count.optional(),
    idle_timeout: seconds.optional(),
  })
  .transform((file) => ({
    max: file.max,
    maxPending: file.max_pending,
    maxRequests: file.max_requests,
    requestsPerConnection: file.requests_per_connection,
    idleTimeoutMs: file.idle_timeout,
  }))
  .optional()
  .describe("Limits of the connections to the host. Default: Envoy's.");

export const resilience = z
  .strictObject({
    retries: z
      .int()
      .min(1)
      .max(10)
      .optional()
      .describe(
        'More attempts for GET, HEAD, OPTIONS, TRACE, PUT and DELETE after a reset, 429, 500, 502, 503 or 504; Retry-After up to retry_after is waited for. Default: none.',
      ),
    retry_after: seconds.prefault('10s').describe('The longest Retry-After that is waited for. Default 10s.'),
    outlier_detection: outlierDetection,
    connections,
    header_case: z
      .enum(['preserve', 'title'])
      .optional()
      .describe(
        'For HTTP/1 upstreams that read header names by case: preserve as the app wrote them, or title: X-Request-Id. Default: lower case.',
      ),
  })
  .transform((file) => ({
    retries: file.retries,
    retryAfterMs: file.retry_after,
    outlierDetection: file.outlier_detection,
    connections: file.connections,
    headerCase: file.header_case,
  }))
  .optional()
  .describe(
    'What the generated Envoy configuration does about an upstream that fails, the same for all policies of a host. Default: nothing.',
  );

/** Of a host: the same for all its policies. Only the generator reads it. */
export type ResilienceConfig = NonNullable<z.output<typeof resilience>>;
