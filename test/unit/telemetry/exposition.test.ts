import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { expose } from '../../../src/telemetry/metrics/exposition.ts';

test('the text is the one that prom-client writes, byte for byte', async () => {
  const registry = new Registry();
  const registers = [registry];
  new Counter({ name: 'never_total', help: 'Without a sample.', labelNames: ['a'], registers });
  new Counter({ name: 'plain_total', help: 'A \\ and a\nline break.', registers }).inc(3);
  const gauge = new Gauge({ name: 'gauge', help: 'Values.', labelNames: ['source', 'key'], registers });
  for (const [i, value] of [1.5, -0, 1e21, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY].entries()) {
    gauge.set({ source: `s${i}`, key: '' }, value);
  }
  gauge.set({ source: 'a"} 1\nforged{b="', key: '\\' }, 1);
  gauge.set({ source: 'a comma, a brace }' }, 2);
  const seconds = new Histogram({
    name: 'seconds',
    help: 'Times.',
    labelNames: ['source'],
    buckets: [0.1, 1],
    registers,
  });
  for (let i = 0; i < 1_000; i++) seconds.observe({ source: `s"${i}` }, i / 500);
  new Histogram({ name: 'bare', help: 'No labels.', buckets: [1], registers }).observe(2);
  assert.equal(await expose(registry), await registry.metrics());
});

test('a metric of a thousand series lets others have a turn before it is whole', async () => {
  const registry = new Registry();
  const gauge = new Gauge({
    name: 'gauge',
    help: 'Many.',
    labelNames: ['source'],
    registers: [registry],
  });
  for (let i = 0; i < 10_000; i++) gauge.set({ source: `source-${i}` }, i);
  let turns = 0;
  let isWhole = false;
  const turn = (): void => {
    if (isWhole) return;
    turns++;
    setImmediate(turn);
  };
  setImmediate(turn);
  await expose(registry);
  isWhole = true;
  assert.ok(turns >= 2, `${turns} turns`);
});
