// A ring file and its key files in a folder, written at once or swapped as Kubernetes does.
import { mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface RingEntry {
  readonly id: string;
  readonly state: string;
  /** Days from now. Default −1. */
  readonly from?: number;
  /** Days from now. Default: no end. */
  readonly to?: number;
  /** Default `value-ID`. */
  readonly value?: string;
}

const DAY_MS = 24 * 3_600_000;

export function ringText(entries: readonly RingEntry[], now = Date.now()): string {
  const at = (days: number) => new Date(now + days * DAY_MS).toISOString();
  return `keys:\n${entries
    .map(
      ({ id, state, from = -1, to }) =>
        `  - { id: ${id}, value: { file: key-${id} }, not_before: ${at(from)}${to === undefined ? '' : `, expires_at: ${at(to)}`}, state: ${state} }\n`,
    )
    .join('')}`;
}

/** `folder`/ring.yaml and its key files. */
export function writeRing(folder: string, entries: readonly RingEntry[], now?: number): void {
  for (const { id, value = `value-${id}` } of entries) writeFileSync(join(folder, `key-${id}`), `${value}\n`);
  writeFileSync(join(folder, 'ring.yaml'), ringText(entries, now));
}

let versions = 0;

/** As a mounted Secret: `folder`/..data is a link to a folder of this version, swapped in one rename. */
export function swapRing(folder: string, entries: readonly RingEntry[]): void {
  const version = `..version-${++versions}`;
  mkdirSync(join(folder, version));
  writeRing(join(folder, version), entries);
  symlinkSync(version, join(folder, '..next'));
  renameSync(join(folder, '..next'), join(folder, '..data'));
}
