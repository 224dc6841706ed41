// Every query of the dashboard in real Prometheus, over a bearerd that serves requests through real Envoy.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { debianPackage } from '../../tools/parts/debian.ts';
import { startGateway } from '../support/gateway.ts';
import { startPrometheus } from '../support/prometheus.ts';
import { startTokenEndpoint } from '../support/token-endpoint.ts';
import { until } from '../support/until.ts';

interface Dashboard {
  readonly panels: readonly {
    readonly type: string;
    readonly title: string;
    readonly targets?: readonly { readonly expr: string }[];
  }[];
}

/** Of what this run has: the others are of doors and parts that it does not use. */
const WITH_DATA = [
  'Credentials',
  'Share of the lifetime left',
  'Generation',
  'By result',
  'Duration, 95 %',
  'Breaker (0 closed, 1 half open, 2 open)',
  'Calls',
  'Refused attempts',
  'Renewals before time',
  'Checks',
  'Rate',
  'Errors',
  'Event loop late, 99 %',
  'Memory',
  'Processors',
  'Configuration',
  'Lost, and what should not happen',
];

test('each query of the dashboard is read and answered by Prometheus, and shows what a run has', async (t) => {
  try {
    await debianPackage('prometheus');
  } catch (error) {
    t.skip((error as Error).message);
    return;
  }
  const provider = await startTokenEndpoint(t);
  let status = 200;
  const gateway = await startGateway(t, {
    sources: `  orders: { client_credentials: { token_endpoint: ${provider.url}, client_id: a, client_secret: { inline: s } } }`,
    settings: 'access_log: full',
    upstream: (_, response) => void response.writeHead(status).end(),
  });
  await gateway.ready();
  const { send } = await gateway.startEnvoy('check');
  const prometheus = await startPrometheus(t, { targets: [gateway.healthUrl.replace('http://', '')] });
  const { panels } = JSON.parse(readFileSync('monitoring/grafana/bearerd.json', 'utf8')) as Dashboard;
  const asked = (expr: string) =>
    prometheus.query(expr.replaceAll('$instance', '.*').replaceAll('$__rate_interval', '10s'));
  const hasData = async ({ targets = [] }: Dashboard['panels'][number]) => {
    for (const { expr } of targets) if ((await asked(expr)).length > 0) return true;
    return false;
  };
  const wanted = WITH_DATA.map((title) => panels.find((panel) => panel.title === title)!);
  assert.ok(wanted.every(Boolean), 'the dashboard has each of them');
  // A rate needs two scrapes that have it.
  let without = [...wanted];
  await until(
    () => without.map(({ title }) => title).join(', '),
    async () => {
      for (let i = 0; i < 20; i++) {
        status = i % 5 === 0 ? 401 : 200;
        await send('/x', { host: 'orders.example.com' });
        await sleep(25);
      }
      while (without[0] !== undefined && (await hasData(without[0]))) without = without.slice(1);
      return without.length === 0;
    },
  );
  const known = Object.keys(
    ((await (await fetch(`${prometheus.url}/api/v1/metadata`)).json()) as { data: Record<string, unknown> })
      .data,
  );
  let empty = 0;
  let count = 0;
  for (const { type, targets = [] } of panels) {
    if (type === 'row') continue;
    let samples = 0;
    for (const { expr } of targets) {
      for (const [name] of expr.matchAll(/\b(?:bearerd|process)_\w+/g)) {
        const base = name.replace(/_(bucket|count|sum)$/, '');
        assert.ok(known.includes(base), `the running instance has no ${base}`);
      }
      samples += (await asked(expr)).length;
      count++;
    }
    if (samples === 0) empty++;
  }
  t.diagnostic(`${count} queries, ${panels.length - empty} panels and rows with data`);
});
