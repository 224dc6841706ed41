// bearerd as its own process and real Envoys before a plain upstream, with sources of the test's own.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type GatedEnvoy, gated } from '../../demo/world.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { generateEnvoy } from '../../src/doors/generate/generate.ts';
import type { Door } from '../../src/doors/generate/plan.ts';
import { type EnvoyVersion, startEnvoy } from './envoy.ts';
import { startUpstream } from './loopback.ts';
import { type StartedProcess, startProcess } from './process.ts';

export interface GatewayOptions {
  /** YAML below `sources`, indented by two; the policy `orders` injects the source `orders`. FOLDER = the test's folder. */
  readonly sources: string;
  /** More of `inject`, e.g. `, header: x-api-key`. */
  readonly inject?: string;
  /** Policies before `orders`, indented by two. */
  readonly before?: string;
  /** Lines of the policy beside name, match and inject. */
  readonly policy?: string;
  /** Top-level lines, e.g. `limits: { … }`. */
  readonly settings?: string;
  /** Files of the folder by name, written before anything starts. */
  readonly files?: Readonly<Record<string, string>>;
  /** Of policies beside `orders`, whose requests go to the same upstream. */
  readonly hosts?: readonly string[];
  /** More of the folder, before anything starts. */
  readonly prepare?: (folder: string) => void;
  readonly mode?: 'production' | 'development';
  /** The upstream: what it answers. Default: 200 and the headers that it received, as JSON. */
  readonly upstream?: (request: IncomingMessage, response: ServerResponse) => void;
  /** Where the upstream is instead, a port on loopback. */
  readonly upstreamPort?: number;
  readonly health?: string;
  /** `listen.status`. Default: none. */
  readonly status?: string;
}

export interface EnvoyWish {
  readonly version?: EnvoyVersion;
  /** What the test does to the generated configuration. */
  readonly change?: (bootstrap: string) => string;
}

export interface Gateway {
  readonly folder: string;
  readonly bearerd: StartedProcess;
  readonly healthUrl: string;
  startEnvoy(door: Door, options?: EnvoyWish): Promise<GatedEnvoy>;
  /** Resolves once bearerd has its credentials. */
  ready(timeoutMs?: number): Promise<void>;
  metrics(): Promise<string>;
}

export async function startGateway(t: TestContext, options: GatewayOptions): Promise<Gateway> {
  const folder = await mkdtemp(join(tmpdir(), 'bearerd-gateway-'));
  // Retried: a process that is not stopped yet may still put its last socket there.
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }));
  for (const [name, text] of Object.entries(options.files ?? {})) {
    // Scripts among them are to be run.
    await writeFile(join(folder, name), text.replaceAll('FOLDER', folder), { mode: 0o700 });
  }
  options.prepare?.(folder);
  const port = options.upstreamPort ?? (await startUpstream(t, options.upstream ?? echo));
  const configFile = join(folder, 'bearerd.yaml');
  const text = `version: 1
mode: ${options.mode ?? 'development'}
listen:
  check: unix://${folder}/check.sock
  xds: unix://${folder}/xds.sock
  health: ${options.health ?? '127.0.0.1:0'}
  admin: unix://${folder}/admin.sock
${options.status === undefined ? '' : `  status: ${options.status}\n`}sources:
${options.sources.replaceAll('FOLDER', folder)}
outbound:
${options.before === undefined ? '' : `${options.before}\n`}  - name: orders
    match: { hosts: [orders.example.com] }
    inject: { source: orders${options.inject ?? ''} }
${options.policy === undefined ? '' : `    ${options.policy.replaceAll('FOLDER', folder)}\n`}${options.settings?.replaceAll('FOLDER', folder) ?? ''}
`;
  await writeFile(configFile, text);
  const config = parseConfig(text, configFile);
  const bearerd = await startProcess(
    process.execPath,
    [join(import.meta.dirname, '../../bin/bearerd.js'), 'serve', '--config', configFile],
    { name: 'bearerd' },
  );
  t.after(() => bearerd.stop());
  const [, address] = await bearerd.waitForOutput(
    /"listener":"health","state":"listening","address":"([^"]+)"/,
  );
  const healthUrl = `http://${address}`;
  return {
    folder,
    bearerd,
    healthUrl,
    async startEnvoy(door, { version, change = (bootstrap: string) => bootstrap } = {}) {
      const there = { address: '127.0.0.1', port };
      const envoy = await startEnvoy({
        config: change(
          generateEnvoy(config, {
            door,
            listen: { kind: 'tcp', host: '127.0.0.1', port: 0 },
            upstreams: Object.fromEntries(
              ['orders.example.com', ...(options.hosts ?? []), '*'].map((host) => [host, there]),
            ),
          }),
        ),
        ...(version === undefined ? {} : { version }),
      });
      t.after(() => envoy.stop());
      return gated(envoy);
    },
    async ready(timeoutMs = 30_000) {
      const deadline = performance.now() + timeoutMs;
      while ((await fetch(`${healthUrl}/readyz`)).status !== 200) {
        if (performance.now() > deadline) throw new Error(`not ready:\n${bearerd.output()}`);
        await sleep(20);
      }
    },
    metrics: async () => (await fetch(`${healthUrl}/metrics`)).text(),
  };
}

function echo(request: IncomingMessage, response: ServerResponse): void {
  response.end(JSON.stringify(request.headers));
}
