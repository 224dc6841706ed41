// Which key signs, and which are published: the overlap that verifiers with a cached JWKS need. Pure.

export interface RotatingKey {
  /** Of the key itself: the same key under another name is no new one. */
  readonly thumbprint: string;
  /** Since when it may have been published, epoch ms. */
  readonly since: number;
  /** Its file went away: epoch ms; undefined = it is there. */
  readonly goneAt: number | undefined;
  /** When the last JWT that it signed ends, epoch ms; 0 = it signed none. */
  readonly signedUntil: number;
}

/**
 * The newest key that has been published long enough. Where none has: the one whose file went away last, since verifiers
 * know it; at a first start the oldest. `keys` in the order of their age, the newest last.
 */
export function signingKey<K extends RotatingKey>(
  keys: readonly K[],
  now: number,
  publishAheadMs: number,
): K | undefined {
  const present = keys.filter(({ goneAt }) => goneAt === undefined);
  const known = present.findLast(({ since }) => now - since >= publishAheadMs);
  if (known !== undefined || present.length === 0) return known;
  const gone = keys
    .filter((key) => key.goneAt !== undefined && key.signedUntil > 0 && now - key.goneAt < publishAheadMs)
    .sort((a, b) => b.goneAt! - a.goneAt!);
  return gone[0] ?? present[0];
}

/** A key whose file went away stays published until the last JWT that it signed has ended, or while it still signs. */
export function publishedKeys<K extends RotatingKey>(
  keys: readonly K[],
  now: number,
  publishAheadMs: number,
): readonly K[] {
  const signer = signingKey(keys, now, publishAheadMs);
  return keys.filter((key) => key === signer || key.goneAt === undefined || now < key.signedUntil);
}

/** When another key may begin to sign, epoch ms; Infinity = not by time alone. */
export function nextSignerAt(keys: readonly RotatingKey[], now: number, publishAheadMs: number): number {
  const moments = keys
    .filter(({ goneAt }) => goneAt === undefined)
    .map(({ since }) => since + publishAheadMs)
    .filter((at) => at > now);
  return Math.min(Number.POSITIVE_INFINITY, ...moments);
}
