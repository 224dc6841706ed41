// A real Envoy for a test: any pinned version, one worker, an admin port of its own choosing. Listeners in the given
// configuration may use port 0; listenerPort tells what they got.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse, stringify } from 'yaml';
import { DEFAULT_ENVOY, type EnvoyVersion, envoyBinary } from '../../tools/parts/envoy.ts';
import { type StartedProcess, startProcess } from './process.ts';

export type { EnvoyVersion } from '../../tools/parts/envoy.ts';
export { ALL_ENVOYS, DEFAULT_ENVOY, TESTED_ENVOYS } from '../../tools/parts/envoy.ts';

export interface EnvoyOptions {
  /** Bootstrap: YAML text, or the document itself. Its admin address is replaced by 127.0.0.1:0. */
  readonly config: string | object;
  readonly version?: EnvoyVersion;
  /**
   * 'live' (default): started and every listener warmed. 'admin': as soon as the admin port answers, for tests of the
   * start itself.
   */
  readonly waitFor?: 'live' | 'admin';
  /** Default 60,000: above Envoy's own 15 s of waiting for a silent SDS server, and for names that nobody resolves. */
  readonly startTimeoutMs?: number;
  /** Default warning. Never trace in a test that looks for tokens in logs: Envoy itself prints headers there. */
  readonly logLevel?: 'trace' | 'debug' | 'info' | 'warning' | 'error';
  readonly concurrency?: number;
  readonly extraArgs?: readonly string[];
}

export interface StartedEnvoy {
  readonly version: EnvoyVersion;
  readonly process: StartedProcess;
  /** `http://127.0.0.1:PORT` of the admin interface. */
  readonly adminUrl: string;
  /** Milliseconds from the start of the process until `waitFor` was fulfilled. */
  readonly startedInMs: number;
  admin(path: string, method?: 'GET' | 'POST'): Promise<string>;
  /** Counters and gauges by name; `filter` is a regular expression for Envoy. */
  stats(filter?: string): Promise<ReadonlyMap<string, number>>;
  /** Port that the TCP listener of this name is bound to. */
  listenerPort(name: string): Promise<number>;
  /** What Envoy wrote so far. */
  log(): string;
  stop(): Promise<void>;
}

/** Starts Envoy; rejects with its log when it refuses the configuration or does not become ready. */
export async function startEnvoy(options: EnvoyOptions): Promise<StartedEnvoy> {
  const version = options.version ?? DEFAULT_ENVOY;
  const binary = await envoyBinary(version);
  const folder = await mkdtemp(join(tmpdir(), 'bearerd-envoy-'));
  const configFile = join(folder, 'envoy.yaml');
  const adminFile = join(folder, 'admin-address');
  await writeFile(configFile, withAdmin(options.config));

  const begun = performance.now();
  const envoy = await startProcess(
    binary,
    [
      ...['-c', configFile, '--concurrency', String(options.concurrency ?? 1), '--use-dynamic-base-id'],
      // Hot restart's shared memory would tie Envoys of parallel tests together.
      ...['--disable-hot-restart', '--admin-address-path', adminFile],
      ...['--log-level', options.logLevel ?? 'warning', ...(options.extraArgs ?? [])],
    ],
    { name: `Envoy ${version}` },
  );
  const stop = async () => {
    // Envoy drains for nobody here: its upstreams and downstreams are the test's own.
    await envoy.stop(10_000);
    await rm(folder, { recursive: true, force: true });
  };

  let adminUrl = '';
  const admin = async (path: string, method: 'GET' | 'POST' = 'GET') => {
    const response = await fetch(adminUrl + path, { method, signal: AbortSignal.timeout(20_000) });
    const body = await response.text();
    if (!response.ok && path !== '/ready') throw new Error(`Envoy admin ${path}: ${response.status} ${body}`);
    return body;
  };
  const isReady = async () => {
    if (adminUrl === '') {
      const address = await readFile(adminFile, 'utf8').catch(() => '');
      if (address === '') return false;
      adminUrl = `http://${address.trim()}`;
    }
    const state = await admin('/ready').catch(() => '');
    return options.waitFor === 'admin' ? state !== '' : state.startsWith('LIVE');
  };

  try {
    await until(isReady, envoy, options.startTimeoutMs ?? 60_000, version);
  } catch (error) {
    await stop();
    throw error;
  }

  return {
    version,
    process: envoy,
    adminUrl,
    startedInMs: performance.now() - begun,
    admin,
    async stats(filter) {
      const query = filter === undefined ? '' : `?filter=${encodeURIComponent(filter)}`;
      const lines = (await admin(`/stats${query}`)).split('\n');
      const pairs = lines.map((line) => /^(.+): (\d+)$/.exec(line)).filter((match) => match !== null);
      return new Map(pairs.map((match) => [match[1]!, Number(match[2])]));
    },
    async listenerPort(name) {
      const { listener_statuses } = JSON.parse(await admin('/listeners?format=json')) as Listeners;
      const port = listener_statuses.find((l) => l.name === name)?.local_address.socket_address?.port_value;
      if (port === undefined) {
        throw new Error(`Envoy has no TCP listener ${name}, only ${listener_statuses.map((l) => l.name)}`);
      }
      return port;
    },
    log: () => envoy.output(),
    stop,
  };
}

export interface Validation {
  readonly ok: boolean;
  readonly output: string;
}

/** `envoy --mode validate`: what Envoy itself says of a configuration. */
export async function validateEnvoy(
  config: string | object,
  version: EnvoyVersion = DEFAULT_ENVOY,
): Promise<Validation> {
  const binary = await envoyBinary(version);
  const folder = await mkdtemp(join(tmpdir(), 'bearerd-envoy-'));
  try {
    const file = join(folder, 'envoy.yaml');
    await writeFile(file, typeof config === 'string' ? config : stringify(config));
    const args = ['--mode', 'validate', '-c', file, '--use-dynamic-base-id', '--log-level', 'warning'];
    const envoy = await startProcess(binary, args, { name: `Envoy ${version}` });
    const timer = setTimeout(() => void envoy.stop(0), 60_000);
    const { code } = await envoy.exited;
    clearTimeout(timer);
    return { ok: code === 0, output: envoy.output() };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function withAdmin(config: string | object): string {
  const document = (typeof config === 'string' ? parse(config) : config) as Record<string, unknown>;
  return stringify({
    ...document,
    admin: { address: { socket_address: { address: '127.0.0.1', port_value: 0 } } },
  });
}

async function until(
  condition: () => Promise<boolean>,
  envoy: StartedProcess,
  timeoutMs: number,
  version: string,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  let ended = false;
  void envoy.exited.then(() => {
    ended = true;
  });
  for (;;) {
    if (await condition()) return;
    if (ended) throw new Error(`Envoy ${version} ended at its start:\n${envoy.output().slice(-4000)}`);
    if (performance.now() > deadline) {
      throw new Error(
        `Envoy ${version} was not ready within ${timeoutMs} ms:\n${envoy.output().slice(-4000)}`,
      );
    }
    await sleep(10);
  }
}

interface Listeners {
  readonly listener_statuses: readonly {
    readonly name: string;
    readonly local_address: { readonly socket_address?: { readonly port_value: number } };
  }[];
}
