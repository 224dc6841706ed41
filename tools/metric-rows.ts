// Metrics as rows of a Markdown table: name, type, labels, unit and meaning.
import type { MetricDescription } from '../src/telemetry/metrics-observer.ts';

/** Sorted by name. The unit is what the name ends with, as OpenMetrics has it. */
export function metricRows(metrics: readonly MetricDescription[]): readonly string[] {
  return [...metrics]
    .sort((one, other) => (one.name < other.name ? -1 : 1))
    .map(({ name, type, labels, help }) => {
      const unit = /_(seconds|bytes)(_total)?$/.exec(name)?.[1] ?? '';
      return `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${unit} | ${help} |`;
    });
}
