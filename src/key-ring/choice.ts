// Which keys of a ring may be used at a moment, in which order, and what is to be said of them. Pure.
import type { KeyNotice } from '../telemetry/event-details.ts';
import type { RingKey } from './ring.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const CRITICAL_MS = DAY_MS;
const WARNING_MS = 7 * DAY_MS;
const OLD_MS = 90 * DAY_MS;

/**
 * The best first. A key in its grace period (the last part of its life) stands behind those that live longer; then the one
 * in use, then whichever lives longest, then the order of the file.
 */
export function usableKeys(ring: readonly RingKey[], now: number, graceMs: number): readonly RingKey[] {
  const rank = (key: RingKey): number =>
    (inGrace(key, now, graceMs) ? 2 : 0) + (key.state === 'in_use' ? 0 : 1);
  return ring
    .filter((key) => isOn(key) && key.notBefore <= now && now < key.expiresAt)
    .sort((a, b) => rank(a) - rank(b) || (a.expiresAt === b.expiresAt ? 0 : b.expiresAt - a.expiresAt));
}

/** When the order may be another, epoch ms; Infinity = never by time alone. */
export function nextChangeAt(ring: readonly RingKey[], now: number, graceMs: number): number {
  const moments = ring
    .filter(isOn)
    .flatMap(({ notBefore, expiresAt }) => [notBefore, expiresAt - graceMs, expiresAt])
    .filter((at) => at > now);
  return Math.min(Number.POSITIVE_INFINITY, ...moments);
}

/** What somebody should act on, of keys that are switched on. */
export function keyNotices(key: RingKey, now: number): readonly KeyNotice[] {
  if (!isOn(key)) return [];
  const left = key.expiresAt - now;
  const notices: KeyNotice[] = [];
  if (left <= 0) notices.push('expired');
  else if (left <= CRITICAL_MS) notices.push('expires_within_24_hours');
  else if (left <= WARNING_MS) notices.push('expires_within_7_days');
  if (now - key.notBefore > OLD_MS) notices.push('older_than_90_days');
  return notices;
}

function isOn({ state }: RingKey): boolean {
  return state === 'activated' || state === 'in_use';
}

function inGrace({ expiresAt }: RingKey, now: number, graceMs: number): boolean {
  return expiresAt - now <= graceMs;
}
