// One credential as it lies in Redis: sealed, bound to its key's name, with the fence of its writer inside.
import type { IssuedToken } from '../credential/credential.ts';
import { type SealingKey, seal, unseal } from '../lib/sealed.ts';
import { Secret } from '../lib/secret.ts';

export interface Entry {
  readonly value: Secret;
  /** Of the write; grows with each. */
  readonly fence: number;
  /** Epoch ms by the writer's clock: a bound, since what Redis tells of time is not sealed. */
  readonly expiresAt: number;
  /** Milliseconds between the last use, when Redis drops the entry, and `expiresAt`. */
  readonly marginMs: number;
  /** It is to be renewed when so many milliseconds are left in Redis. */
  readonly refreshAtLeftMs: number;
  readonly keyId: string | undefined;
  readonly source: string | undefined;
}

/** Refresh at this share of the life. Earlier than a lone process's, which spreads up to 70 %: here one does it for all. */
const REFRESH_SHARE = 0.5;
/** Last use before the end: 60 s for long lives, 5 % below 20 minutes. */
const MARGIN_MS = 60_000;
const MARGIN_SHARE = 0.05;

/** undefined = what must not be shared: bound to a key of this process, or without an end. */
export function entryOf(issued: IssuedToken, fence: number, now: number): Entry | undefined {
  const { value, lifetimeMs, bound, proofKey, keyId, source, refreshAfterMs } = issued;
  if (bound || proofKey !== undefined || lifetimeMs === undefined || !(lifetimeMs > 0)) return undefined;
  const marginMs = Math.min(MARGIN_MS, lifetimeMs * MARGIN_SHARE);
  const refreshAfter = Math.min(refreshAfterMs ?? lifetimeMs * REFRESH_SHARE, lifetimeMs - marginMs);
  return {
    ...{ value, fence, expiresAt: now + lifetimeMs, marginMs },
    refreshAtLeftMs: lifetimeMs - marginMs - refreshAfter,
    keyId,
    source,
  };
}

/** Milliseconds that Redis keeps it. */
export function entryLeftMs({ expiresAt, marginMs }: Entry, now: number): number {
  return Math.floor(expiresAt - marginMs - now);
}

export function sealEntry(entry: Entry, key: SealingKey, name: string): string {
  return seal(JSON.stringify({ ...entry, value: entry.value.reveal() }), key, name);
}

/**
 * undefined = it does not open: foreign, damaged, of another key, or moved here from another name. Or it is of a version of
 * bearerd that keeps something else there: a time that is missing would be one without an end, and a word that is not known
 * may say what the value is bound to.
 */
export function openEntry(text: string, keys: readonly SealingKey[], name: string): Entry | undefined {
  const opened = unseal(text, keys, name);
  if (opened === undefined) return undefined;
  const { value, fence, expiresAt, marginMs, refreshAtLeftMs, keyId, source, ...others } = wordsOf(opened);
  if (Object.keys(others).length > 0) return undefined;
  if (typeof value !== 'string' || value === '') return undefined;
  if (!isAmount(fence) || !isAmount(expiresAt) || !isAmount(marginMs) || !isAmount(refreshAtLeftMs))
    return undefined;
  if (!isName(keyId) || !isName(source)) return undefined;
  return { value: new Secret(value), fence, expiresAt, marginMs, refreshAtLeftMs, keyId, source };
}

function wordsOf(text: string): Readonly<Record<string, unknown>> {
  try {
    return Object(JSON.parse(text)) as Record<string, unknown>;
  } catch {
    return {};
  }
}

const isAmount = (value: unknown): value is number => typeof value === 'number' && value >= 0;
const isName = (value: unknown): value is string | undefined =>
  value === undefined || typeof value === 'string';

/** What it is worth to the store now, or undefined when it is over. `leftMs` = until Redis drops it. */
export function issuedOf(
  entry: Entry,
  leftMs: number,
  now: number,
  refreshAfterMs: number,
): IssuedToken | undefined {
  // By our clock and by Redis's: the earlier end counts, so that neither one that is off prolongs it.
  const lifetimeMs = Math.min(entry.expiresAt - now, leftMs + entry.marginMs);
  if (!(lifetimeMs > entry.marginMs)) return undefined;
  return {
    value: entry.value,
    lifetimeMs,
    refreshAfterMs: Math.min(refreshAfterMs, lifetimeMs),
    ...(entry.keyId === undefined ? {} : { keyId: entry.keyId }),
    ...(entry.source === undefined ? {} : { source: entry.source }),
  };
}
