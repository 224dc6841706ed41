// Versions of pushed secrets: `<process>.<sequence>`, so that one of an earlier process is never taken for one of this, and
// never from the token. With a credential also `.<its last use>` in seconds, or `.never`, for the process after this one.

/** `process`: epoch ms of its start. `usableUntil`: epoch ms; undefined = there is no credential in it. */
export function versionText(process: number, sequence: number, usableUntil?: number): string {
  if (usableUntil === undefined) return `${process}.${sequence}`;
  const lastUse = Number.isFinite(usableUntil) ? Math.floor(usableUntil / 1_000) : 'never';
  return `${process}.${sequence}.${lastUse}`;
}

/** Epoch ms of the last use of what has this version; 0 = nothing is known to be good. */
export function lastUseOf(version = ''): number {
  const end = /^\d+\.\d+\.(\d+|never)$/.exec(version)?.[1];
  return end === 'never' ? Number.POSITIVE_INFINITY : Number(end ?? 0) * 1_000;
}
