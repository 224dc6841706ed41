// The arithmetic of a credential's life, pure. Numbers and their reasons in one place.
import type { Clock } from '../lib/clock.ts';
import type { Credential, IssuedToken } from './credential.ts';

/** No provider's word makes a credential live longer unseen. */
const MAX_LIFETIME_MS = 24 * 3_600_000;

/** Refresh between these shares of the lifetime: early enough to survive a long outage, spread over the fleet. */
const REFRESH_FROM = 0.5;
const REFRESH_SPREAD = 0.2;
/** Below this the spread would only lose life. */
const SHORT_LIFETIME_MS = 60_000;

/** Last use before the provider's end, for clocks that differ and requests on their way. */
export function skewMs(lifetimeMs: number): number {
  return Math.min(10_000, lifetimeMs * 0.05);
}

/** When so much of the life is left, retries get frequent: min(max(30 s, 10 %), 20 %) of the lifetime. */
export function urgentMs(lifetimeMs: number): number {
  return Math.min(Math.max(30_000, lifetimeMs * 0.1), lifetimeMs * 0.2);
}

/** Delay from publication to the background refresh; Infinity where the credential never ends by itself. */
export function refreshDelayMs(issued: IssuedToken, lifetimeMs: number, random: () => number): number {
  const { refreshAfterMs } = issued;
  if (lifetimeMs === Number.POSITIVE_INFINITY) return refreshAfterMs ?? Number.POSITIVE_INFINITY;
  // A source knows nothing of max_lifetime: what lies beyond it, or so near that nothing may fail, does not count.
  if (refreshAfterMs !== undefined && refreshAfterMs <= lifetimeMs - urgentMs(lifetimeMs))
    return refreshAfterMs;
  const share = lifetimeMs < SHORT_LIFETIME_MS ? REFRESH_FROM : REFRESH_FROM + random() * REFRESH_SPREAD;
  return lifetimeMs * share;
}

/** What remains of the issued lifetime now, capped; Infinity where it never ends. */
export function effectiveLifetimeMs(issued: IssuedToken, maxLifetimeMs: number | undefined): number {
  if (issued.lifetimeMs === undefined) return maxLifetimeMs ?? Number.POSITIVE_INFINITY;
  return Math.min(issued.lifetimeMs, maxLifetimeMs ?? MAX_LIFETIME_MS, MAX_LIFETIME_MS);
}

export function buildCredential(
  source: string,
  issued: IssuedToken,
  lifetimeMs: number,
  generation: number,
  clock: Clock,
): Credential {
  const now = clock.now();
  const usableMs = lifetimeMs - (lifetimeMs === Number.POSITIVE_INFINITY ? 0 : skewMs(lifetimeMs));
  return Object.freeze({
    source,
    issuedBy: issued.source ?? source,
    value: issued.value,
    generation,
    issuedAt: now,
    expiresAt: now + lifetimeMs,
    usableUntil: now + usableMs,
    usableUntilMonotonic: clock.monotonic() + usableMs,
    proofKey: issued.proofKey,
    keyId: issued.keyId,
    bound: issued.bound ?? false,
  });
}

/** How long it may still be used, ms: what the clock says that leaves it less. Negative after its end. */
export function leftMs(credential: Credential, clock: Clock): number {
  return Math.min(credential.usableUntil - clock.now(), credential.usableUntilMonotonic - clock.monotonic());
}

/** Both clocks must agree that it lives: one set back, or one that slept, never prolongs it. */
export function isUsable(credential: Credential, clock: Clock): boolean {
  return clock.now() < credential.usableUntil && clock.monotonic() < credential.usableUntilMonotonic;
}
