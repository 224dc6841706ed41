// One row of the matrix of sources, and the doors that are its columns.

export const DOORS = ['check', 'push', 'attempt'] as const;
export type Door = (typeof DOORS)[number];

export interface Row {
  readonly source: string;
  /** Client authentication; `-` where the source knows none. */
  readonly method: string;
  readonly provider: string;
}

export function nameOf({ source, method, provider }: Row): string {
  return [source, method, provider]
    .join('-')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replace(/-$/, '');
}
