export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly wanted?: string;
  /** Lowest and highest of the rounds. */
  readonly range?: readonly [number, number];
}

/** Median and range of the rounds. */
export function figureOf(name: string, rounds: readonly number[], unit: string, wanted?: string): Figure {
  const sorted = [...rounds].sort((a, b) => a - b);
  return {
    name,
    value: sorted[sorted.length >> 1]!,
    unit,
    range: [sorted[0]!, sorted.at(-1)!],
    ...(wanted === undefined ? {} : { wanted }),
  };
}

/** What a part says instead of figures that this machine cannot give. */
export interface Skipped {
  readonly skipped: string;
  readonly why: string;
}
