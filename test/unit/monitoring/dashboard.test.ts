// The dashboard, the metrics and their labels belong together; its file is what is built.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { createMetrics } from '../../../src/telemetry/metrics-observer.ts';
import { buildDashboard } from '../../../tools/dashboard/dashboard.ts';
import { ROWS } from '../../../tools/dashboard/rows.ts';
import { FakeClock } from '../../support/fake-clock.ts';

/** Shown by an alert where they matter, and of no use as a line over time. */
const LEFT_OUT = [
  'bearerd_api_key_age_seconds',
  'bearerd_api_key_notices_total',
  'bearerd_certificates_refused_total',
  'bearerd_key_rings_refused_total',
  'bearerd_policy_owner',
  'bearerd_shared_secret',
  'bearerd_source_owner',
  'bearerd_withheld_scopes',
];
/** Of Prometheus, Grafana and PromQL. */
const OTHER_LABELS = ['instance', 'le'];

const metrics = createMetrics(new FakeClock()).list();
const queries = ROWS.flatMap(({ panels }) => panels.flatMap(({ queries }) => queries));
const named = (expr: string): readonly string[] =>
  [...expr.matchAll(/\b(?:bearerd|process)_\w+/g)].map(([name]) => name.replace(/_(bucket|count|sum)$/, ''));

test('monitoring/grafana/bearerd.json is the dashboard that is built', () => {
  const file: unknown = JSON.parse(readFileSync('monitoring/grafana/bearerd.json', 'utf8'));
  assert.deepEqual(file, JSON.parse(JSON.stringify(buildDashboard())), 'npm run dashboard');
});

test('every metric is on the dashboard, and every metric and label of the dashboard is one of the program', () => {
  const labels = new Map(metrics.map((metric) => [metric.name, metric.labels]));
  for (const { expr, legend } of queries) {
    const names = named(expr);
    assert.ok(names.length > 0, expr);
    const known = names.flatMap((name) => {
      assert.ok(labels.has(name), `no metric ${name}`);
      return labels.get(name)!;
    });
    const used = [
      ...[...expr.matchAll(/[{,](\w+)(?:=~|!=|=)/g)].map(([, label]) => label!),
      ...[...expr.matchAll(/\b(?:by|on|without) \(([^)]*)\)/g)].flatMap(([, list]) => list!.split(', ')),
      ...[...legend.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label!),
    ];
    for (const label of used) {
      assert.ok(
        known.includes(label) || OTHER_LABELS.includes(label),
        `no label ${label}: ${expr} ${legend}`,
      );
    }
    // What an aggregation drops cannot stand in the legend.
    const kept = /^(?:sum|max|histogram_quantile\([\d.]+, sum) by \(([^)]*)\)/.exec(expr)?.[1]?.split(', ');
    for (const [, label] of legend.matchAll(/\{\{(\w+)\}\}/g)) {
      assert.ok(kept === undefined || kept.includes(label!), `${label} is gone: ${expr}`);
    }
  }
  const shown = new Set(queries.flatMap(({ expr }) => named(expr)));
  assert.deepEqual(
    metrics.map(({ name }) => name).filter((name) => !shown.has(name) && !LEFT_OUT.includes(name)),
    [],
    'add a panel to tools/dashboard/rows.ts and npm run dashboard, or say in LEFT_OUT why there is none',
  );
  assert.ok(LEFT_OUT.every((name) => labels.has(name) && !shown.has(name)));
});
