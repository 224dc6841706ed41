// npm run bench [-- --only PART,PART] [--json FILE]: one line a figure (name value unit). Rounds are interleaved, and a
// ratio is taken within one round; printed are median and range.
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { accessLog } from './access-log.ts';
import { attempt } from './attempt.ts';
import { direct } from './direct.ts';
import { throughEnvoy } from './envoy.ts';
import { exchange } from './exchange.ts';
import type { Figure, Skipped } from './figure.ts';
import { heal } from './heal.ts';
import { inbound } from './inbound.ts';
import { metricsCost } from './metrics-cost.ts';
import { policies } from './policies.ts';
import { idleMemory, startTime } from './process.ts';
import { proof } from './proof.ts';
import { push } from './push.ts';

const PARTS: Record<string, () => Promise<readonly (Figure | Skipped)[]>> = {
  start: startTime,
  idle: idleMemory,
  direct,
  metrics: metricsCost,
  policies,
  envoy: throughEnvoy,
  push,
  inbound,
  attempt,
  access_log: accessLog,
  heal,
  proof,
  exchange,
};

const { values } = parseArgs({ options: { json: { type: 'string' }, only: { type: 'string' } } });
const chosen = values.only?.split(',') ?? Object.keys(PARTS);
const figures: Figure[] = [];
for (const part of chosen) {
  const measure = PARTS[part];
  if (measure === undefined) throw new Error(`no part "${part}": ${Object.keys(PARTS).join(', ')}`);
  for (const told of await measure()) {
    if ('skipped' in told) {
      process.stdout.write(`skipped: ${told.skipped} (${told.why})\n`);
      continue;
    }
    figures.push(told);
    const range = told.range ? `  (${told.range.map((n) => n.toFixed(2)).join(' to ')})` : '';
    const wanted = told.wanted ? `  wanted ${told.wanted}` : '';
    process.stdout.write(`${told.name} ${told.value.toFixed(2)} ${told.unit}${range}${wanted}\n`);
  }
}
if (values.json !== undefined) {
  const rows = figures.map(({ name, value, unit, wanted }) => ({
    name,
    value,
    unit,
    wanted: wanted ?? null,
  }));
  writeFileSync(values.json, `${JSON.stringify({ figures: rows }, null, 2)}\n`);
}
