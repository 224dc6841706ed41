// Real Prometheus and Alertmanager of Debian, each with a folder and a port of its own.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { stringify } from 'yaml';
import { alertmanager } from '../../tools/parts/alertmanager.ts';
import { debianPackage } from '../../tools/parts/debian.ts';
import { freePort } from './ports.ts';
import { startProcess } from './process.ts';
import { until } from './until.ts';

export interface PrometheusSetup {
  /** host:port of what is scraped, each second. */
  readonly targets: readonly string[];
  /** Texts of rule files. */
  readonly rules?: readonly string[];
  /** host:port. */
  readonly alertmanager?: string;
}

export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Prometheus {
  readonly url: string;
  /** Rejects with Prometheus' own words. */
  query(expr: string): Promise<readonly Sample[]>;
}

export async function startPrometheus(t: TestContext, setup: PrometheusSetup): Promise<Prometheus> {
  const program = join(await debianPackage('prometheus'), 'usr/bin/prometheus');
  const folder = await folderOf(t, 'prometheus');
  const rules = setup.rules ?? [];
  await Promise.all(rules.map((text, i) => writeFile(join(folder, `rules-${i}.yaml`), text)));
  await writeFile(
    join(folder, 'prometheus.yml'),
    stringify({
      global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
      rule_files: rules.map((_, i) => `rules-${i}.yaml`),
      scrape_configs: [{ job_name: 'bearerd', static_configs: [{ targets: setup.targets }] }],
      ...(setup.alertmanager && {
        alerting: { alertmanagers: [{ static_configs: [{ targets: [setup.alertmanager] }] }] },
      }),
    }),
  );
  const address = `127.0.0.1:${await freePort()}`;
  const child = await startProcess(program, [
    `--config.file=${folder}/prometheus.yml`,
    `--storage.tsdb.path=${folder}/data`,
    `--web.listen-address=${address}`,
    // An alert that is not told again within a few seconds counts as resolved there.
    '--rules.alert.resend-delay=1s',
  ]);
  t.after(() => child.stop());
  const url = `http://${address}`;
  await answers(`${url}/-/ready`, () => child.output());
  return {
    url,
    async query(expr) {
      const reply = await fetch(`${url}/api/v1/query`, {
        method: 'POST',
        body: new URLSearchParams({ query: expr }),
      });
      const said = (await reply.json()) as {
        readonly status: string;
        readonly error?: string;
        readonly data?: {
          readonly result: readonly { metric: Record<string, string>; value: [number, string] }[];
        };
      };
      if (said.status !== 'success') throw new Error(`${expr}: ${said.error}`);
      return said.data!.result.map(({ metric, value }) => ({ metric, value: Number(value[1]) }));
    },
  };
}

export interface FiringAlert {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface Alertmanager {
  /** host:port */
  readonly address: string;
  /** Those that are active now. */
  alerts(): Promise<readonly FiringAlert[]>;
}

/** `config` is alertmanager.yml. */
export async function startAlertmanager(t: TestContext, config: object): Promise<Alertmanager> {
  const { program, folder: cwd } = await alertmanager();
  const folder = await folderOf(t, 'alertmanager');
  await writeFile(join(folder, 'alertmanager.yml'), stringify(config));
  const address = `127.0.0.1:${await freePort()}`;
  const child = await startProcess(
    program,
    [
      `--config.file=${folder}/alertmanager.yml`,
      `--storage.path=${folder}/data`,
      `--web.listen-address=${address}`,
      '--cluster.listen-address=',
    ],
    { cwd },
  );
  t.after(() => child.stop());
  await answers(`http://${address}/-/ready`, () => child.output());
  return {
    address,
    alerts: async () =>
      (await fetch(`http://${address}/api/v2/alerts?active=true`)).json() as Promise<FiringAlert[]>,
  };
}

async function folderOf(t: TestContext, name: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `bearerd-${name}-`));
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }));
  return folder;
}

async function answers(url: string, output: () => string): Promise<void> {
  const isThere = () =>
    fetch(url).then(
      ({ ok }) => ok,
      () => false,
    );
  await until(() => `${url} answers:\n${output()}`, isThere, 60_000);
}
