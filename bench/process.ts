// The whole process as it is deployed: launcher, bundle, every listener, one OAuth source.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type StartedProcess, startProcess } from '../test/support/process.ts';
import type { Figure } from './figure.ts';

const ROUNDS = 5;

async function started<T>(measure: (process: StartedProcess, startMs: number) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-bench-'));
  const config = join(folder, 'bearerd.yaml');
  writeFileSync(join(folder, 'secret'), 'secret');
  writeFileSync(
    config,
    `version: 1
mode: development
listen:
  check: unix://${folder}/check.sock
  xds: unix://${folder}/xds.sock
  health: 127.0.0.1:0
  admin: unix://${folder}/admin.sock
sources:
  orders:
    client_credentials:
      token_endpoint: http://127.0.0.1:9/token
      client_id: a
      client_secret: { file: secret }
outbound:
  - { name: orders, match: { hosts: [orders.example.com] }, inject: { source: orders } }
`,
  );
  const begun = performance.now();
  const bearerd = await startProcess(process.execPath, [
    join(import.meta.dirname, '../bin/bearerd.js'),
    ...['serve', '--config', config],
  ]);
  try {
    await bearerd.waitForOutput(/"listener":"admin","state":"listening"/);
    return await measure(bearerd, performance.now() - begun);
  } finally {
    await bearerd.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Milliseconds from the start of the launcher until every listener listens. */
export async function startTime(): Promise<readonly Figure[]> {
  const times: number[] = [];
  for (let i = 0; i < ROUNDS; i++) times.push(await started((_, ms) => Promise.resolve(ms)));
  times.sort((a, b) => a - b);
  return [
    {
      name: 'start_ms',
      value: times[ROUNDS >> 1]!,
      unit: 'ms',
      wanted: '400 or less',
      range: [times[0]!, times.at(-1)!],
    },
  ];
}

/** 10 s after the start. */
export async function idleMemory(): Promise<readonly Figure[]> {
  return started(async ({ pid }) => {
    await sleep(10_000);
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const mb = (key: string) => Number(new RegExp(`${key}:\\s+(\\d+)`).exec(status)![1]) / 1024;
    return [
      { name: 'rss_idle_mb', value: mb('VmRSS'), unit: 'MB', wanted: '80 or less' },
      { name: 'rss_idle_anon_mb', value: mb('RssAnon'), unit: 'MB' },
    ];
  });
}
