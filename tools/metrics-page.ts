// Prints the table of docs/metrics.md, of the metrics that the program has. Its test says when the page is behind.
import { systemClock } from '../src/lib/clock.ts';
import { createMetrics } from '../src/telemetry/metrics-observer.ts';
import { metricRows } from './metric-rows.ts';

for (const row of metricRows(createMetrics(systemClock).list())) process.stdout.write(`${row}\n`);
