// Rate limits of inbound policies: a token bucket for the policy, for each verified caller, or for each value of a header.
// Headers of the answer: draft-ietf-httpapi-ratelimit-headers.
import type { RateLimitConfig } from '../../config/inbound/config.ts';
import type { Kept } from '../../inbound/kept.ts';
import type { InboundPolicy } from '../../inbound/policy.ts';
import type { VerifiedToken } from '../../inbound/verified-token.ts';
import type { Clock } from '../../lib/clock.ts';
import { TokenBuckets } from '../../lib/token-bucket.ts';
import type { InboundRequest } from './request.ts';

export interface Limited {
  readonly waitMs: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

export interface RateLimits {
  /** undefined = one was taken, or there is no limit. */
  take(policy: InboundPolicy, request: InboundRequest, token: VerifiedToken | undefined): Limited | undefined;
}

export function createRateLimits(
  policies: readonly InboundPolicy[],
  position: (header: string) => number,
  kept: Kept,
  clock: Clock,
): RateLimits {
  const limits = policies.map(({ name, config: { rateLimit } }) => {
    if (rateLimit === undefined) return undefined;
    const header = typeof rateLimit.key === 'object' ? position(rateLimit.key.header) : -1;
    const buckets = kept.of(JSON.stringify(['limit', name, rateLimit]), () => new TokenBuckets(rateLimit));
    return { rateLimit, header, buckets };
  });
  return {
    take(policy, request, token) {
      const limit = limits[policy.index];
      if (limit === undefined) return undefined;
      const { rateLimit, header, buckets } = limit;
      const now = clock.monotonic();
      const waitMs = buckets.of(keyOf(rateLimit, request, token, header), now).take(now);
      return waitMs === 0 ? undefined : { waitMs, headers: limitHeaders(policy.name, rateLimit, waitMs) };
    },
  };
}

function keyOf(
  { key }: RateLimitConfig,
  request: InboundRequest,
  token: VerifiedToken | undefined,
  header: number,
): string {
  if (key === 'policy') return '';
  if (key === 'caller') return token === undefined ? request.address : `${token.issuer} ${token.caller}`;
  return request.values[header] ?? '';
}

function limitHeaders(name: string, { requests, perMs }: RateLimitConfig, waitMs: number) {
  const seconds = Math.max(1, Math.ceil(waitMs / 1_000));
  return [
    ['ratelimit-policy', `"${name}";q=${requests};w=${Math.max(1, Math.round(perMs / 1_000))}`],
    ['ratelimit', `"${name}";r=0;t=${seconds}`],
  ] as const;
}
