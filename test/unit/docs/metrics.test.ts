// docs/metrics.md has every metric of the program with its labels and meaning, and none that is not there.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { createMetrics } from '../../../src/telemetry/metrics-observer.ts';
import { metricRows } from '../../../tools/metric-rows.ts';
import { FakeClock } from '../../support/fake-clock.ts';

test('docs/metrics.md has the metrics of the program, with type, labels, unit and meaning', async () => {
  const metrics = createMetrics(new FakeClock());
  const rows = readFileSync('docs/metrics.md', 'utf8')
    .split('\n')
    .filter((line) => /^\| `(bearerd|process)_/.test(line));
  assert.deepEqual(rows, metricRows(metrics.list()), 'write them anew: node tools/metrics-page.ts');
  const rendered = [...(await metrics.render()).matchAll(/^# HELP (\S+) (.*)$/gm)];
  assert.deepEqual(
    rendered.map(([, name, help]) => `${name} ${help}`).sort(),
    metrics
      .list()
      .map(({ name, help }) => `${name} ${help}`)
      .sort(),
  );
});
