// Alerts, their rule file, their runbooks and the metrics they read belong together.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parse } from 'yaml';
import { ALERTS, alertRules } from '../../../src/kubernetes/alerts.ts';
import { monitoringManifests } from '../../../src/kubernetes/monitoring-manifests.ts';
import { plain } from '../../../src/lib/commented-yaml.ts';
import { createMetrics } from '../../../src/telemetry/metrics-observer.ts';
import { FakeClock } from '../../support/fake-clock.ts';

test('monitoring/alerts.yaml and the generated PrometheusRule hold the alerts of the program', () => {
  const rules = plain(alertRules());
  assert.deepEqual(parse(readFileSync('monitoring/alerts.yaml', 'utf8')), rules, 'npm run alerts');
  const manifests = monitoringManifests({ namespace: 'shop', everywhere: false });
  const rule = manifests.map(plain).find((one) => (one as { kind: string }).kind === 'PrometheusRule');
  assert.deepEqual((rule as { spec: unknown }).spec, rules);
});

test('every alert has a section in docs/runbooks.md, and every section an alert', () => {
  const sections = [...readFileSync('docs/runbooks.md', 'utf8').matchAll(/^## (.+)\n\n(.+)/gm)];
  assert.deepEqual(
    sections.map(([, heading]) => heading),
    ALERTS.map(({ alert }) => alert),
  );
});

test('alerts and runbooks name only metrics that there are', () => {
  const known = new Set(
    createMetrics(new FakeClock())
      .list()
      .flatMap(({ name, type }) => (type === 'histogram' ? [name, `${name}_count`] : [name])),
  );
  const text = ALERTS.map(({ expr }) => expr).join('\n') + readFileSync('docs/runbooks.md', 'utf8');
  for (const [name] of text.matchAll(/bearerd_\w+/g)) assert.ok(known.has(name), `no metric ${name}`);
});
