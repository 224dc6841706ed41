// How much of the refusals stands on one path of the upstream. Bounded, and old ones fade.
import { cutQuery } from '../path.ts';

export interface RefusedPaths {
  add(path: string): void;
  /** Share of the path that has most of them, 0 to 1; 0 without any. */
  heaviest(): number;
}

const MAX_PATHS = 256;
const FADE_AT = 1_024;

export function createRefusedPaths(): RefusedPaths {
  let counts = new Map<string, number>();
  let sum = 0;
  return {
    add(path) {
      const shape = shapeOf(path);
      const count = counts.get(shape);
      // Beyond the bound all are one: a flood of made-up paths is what one path is.
      const key = count === undefined && counts.size >= MAX_PATHS ? '' : shape;
      counts.set(key, (counts.get(key) ?? 0) + 1);
      sum++;
      if (sum < FADE_AT) return;
      counts = new Map(
        [...counts].map(([one, n]): [string, number] => [one, n >> 1]).filter(([, n]) => n > 0),
      );
      sum = [...counts.values()].reduce((a, b) => a + b, 0);
    },
    heaviest: () => (sum === 0 ? 0 : Math.max(...counts.values()) / sum),
  };
}

/** `/orders/4711/items` and `/orders/8a3f/items` are one: ids are told by their digits. */
function shapeOf(path: string): string {
  return cutQuery(path)
    .slice(0, 256)
    .split('/')
    .map((segment) => (/\d/.test(segment) ? '*' : segment))
    .join('/');
}
