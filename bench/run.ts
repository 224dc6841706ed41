// npm run bench: one line a figure (name value unit), `--json FILE` for machines. Rounds interleaved, median and range.
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { policiesRatio } from './policies.ts';
import { idleMemory, startTime } from './process.ts';

export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly wanted?: string;
  /** Lowest and highest of the rounds. */
  readonly range?: readonly [number, number];
}

const { values } = parseArgs({ options: { json: { type: 'string' } } });
const figures: Figure[] = [];
for (const measure of [policiesRatio, startTime, idleMemory]) {
  for (const figure of await measure()) {
    figures.push(figure);
    const range = figure.range ? `  (${figure.range.map((n) => n.toFixed(2)).join(' to ')})` : '';
    const wanted = figure.wanted ? `  wanted ${figure.wanted}` : '';
    process.stdout.write(`${figure.name} ${figure.value.toFixed(2)} ${figure.unit}${range}${wanted}\n`);
  }
}
if (values.json !== undefined) {
  const rows = figures.map(({ name, value, unit, wanted }) => ({ name, value, unit, wanted }));
  writeFileSync(values.json, `${JSON.stringify({ figures: rows }, null, 2)}\n`);
}
