// All parts of the story, each a real one: identity provider, upstream over mTLS, Envoy, bearerd as its own process.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseConfig } from '../src/config/parse.ts';
import { type GenerateOptions, generateEnvoy } from '../src/doors/generate/generate.ts';
import type { Door } from '../src/doors/generate/plan.ts';
import type { Upstreams } from '../src/doors/generate/upstreams.ts';
import { type EnvoyVersion, type StartedEnvoy, startEnvoy } from '../test/support/envoy.ts';
import { freePort } from '../test/support/ports.ts';
import { type StartedProcess, startProcess } from '../test/support/process.ts';
import { type Authority, createAuthority } from './certificates.ts';
import {
  type IdentityProvider,
  type IdentityProviderOptions,
  startIdentityProvider,
} from './identity-provider.ts';
import { startUpstream, type Upstream } from './upstream.ts';

export const ORDERS = 'orders.example.com';
/** A host without a policy. */
export const OPEN = 'open.example.com';
const CLIENT = {
  clientId: 'checkout',
  clientSecret: 'demo+secret/with:marks',
  audience: 'orders',
  scope: 'orders.read',
};

export interface WorldOptions {
  readonly version?: EnvoyVersion;
  /** Lines of the policy `orders` beside name, match and inject, e.g. `heal_on: invalid_token`. */
  readonly policy?: string;
  /** Entries of `outbound` before it, indented by two. */
  readonly before?: string;
  readonly methods?: string;
  readonly paths?: string;
  /** Top-level lines, e.g. `max_wait: 500ms`. */
  readonly settings?: string;
  readonly lifetimeSeconds?: number;
  /** Where requests of the policy go instead, in plain text, e.g. a gRPC server. */
  readonly upstreamPort?: number;
  /** The upstream is reached without mTLS, which a mesh may do. */
  readonly plainUpstream?: boolean;
  /** Lines below `listen.check`, instead of a Unix socket; `FOLDER` stands for the world's folder. */
  readonly check?: string;
  /** Where Envoy finds the Check listener when that has TLS. */
  readonly checkUpstream?: (authority: Authority) => Promise<GenerateOptions['checkUpstream']>;
  /** The provider is away at first. */
  readonly providerDown?: boolean;
  /** Another provider than the real one. */
  readonly provider?: (options: IdentityProviderOptions, authority: Authority) => Promise<IdentityProvider>;
  /** Environment of bearerd beside this process's. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
  readonly ms: number;
}

export interface World {
  readonly folder: string;
  readonly configFile: string;
  readonly authority: Authority;
  readonly provider: IdentityProvider;
  readonly upstream: Upstream;
  /** Where the hosts of its requests really are, as the generator takes it. */
  readonly upstreams: Upstreams;
  /** `config`: another file or directory than `configFile`. */
  startBearerd(config?: string): Promise<StartedProcess>;
  /** `change`: what a test does to the generated configuration. */
  startEnvoy(door: Door, change?: (bootstrap: string) => string): Promise<GatedEnvoy>;
  readyz(): Promise<number>;
  /** Text of /readyz. */
  readiness(): Promise<string>;
  /** Status of a page of the health listener. */
  probe(path: '/startupz' | '/readyz' | '/livez'): Promise<number>;
  /** Resolves once bearerd has its credentials; rejects with what is missing after `limitMs`, a minute by default. */
  ready(limitMs?: number): Promise<void>;
  metrics(): Promise<string>;
  stop(): Promise<void>;
}

export interface GatedEnvoy {
  readonly envoy: StartedEnvoy;
  readonly url: string;
  /** A plain request as the existing service sends it: no auth code, only a Host. */
  send(path: string, options?: SendOptions): Promise<Answer>;
}

export interface SendOptions {
  readonly host?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export async function createWorld(options: WorldOptions = {}): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'bearerd-world-'));
  const authority = await createAuthority(folder);
  const provider = await (options.provider ?? startIdentityProvider)(
    {
      ...CLIENT,
      // It is to be had again after an outage.
      port: await freePort(),
      ...(options.lifetimeSeconds === undefined ? {} : { lifetimeSeconds: options.lifetimeSeconds }),
    },
    authority,
  );
  const upstream = await startUpstream({
    tls: options.plainUpstream
      ? undefined
      : { certificate: await authority.issue('api', 'server'), clientCa: authority.ca },
    jwks: provider.jwks,
    issuer: provider.issuer,
    audience: CLIENT.audience,
    scope: CLIENT.scope,
  });
  const client = await authority.issue('checkout', 'client');
  const checkUpstream = await options.checkUpstream?.(authority);
  if (options.providerDown) await provider.stop();

  await writeFile(join(folder, 'secret'), `${CLIENT.clientSecret}\n`, { mode: 0o600 });
  const configFile = join(folder, 'bearerd.yaml');
  const text = configText(folder, provider, options);
  await writeFile(configFile, text);
  const config = parseConfig(text, configFile);
  const stops: (() => Promise<unknown>)[] = [() => upstream.stop(), () => provider.stop()];
  let healthUrl = '';

  const probe: World['probe'] = async (path) => (await fetch(`${healthUrl}${path}`)).status;
  const readyz = () => probe('/readyz');
  const readiness: World['readiness'] = async () => (await fetch(`${healthUrl}/readyz`)).text();
  const tls = { ca: authority.ca, cert: client.cert, key: client.key, sni: 'api' };
  const there = { address: '127.0.0.1', port: upstream.port, tls };

  const upstreams: Upstreams = {
    [ORDERS]:
      options.upstreamPort === undefined ? there : { address: '127.0.0.1', port: options.upstreamPort },
    '*': there,
  };

  return {
    ...{ folder, configFile, authority, provider, upstream, upstreams },
    async startBearerd(config = configFile) {
      const bearerd = await startProcess(
        process.execPath,
        [join(import.meta.dirname, '../bin/bearerd.js'), 'serve', '--config', config],
        { name: 'bearerd', env: { ...process.env, ...options.env } },
      );
      stops.push(() => bearerd.stop());
      const [, address] = await bearerd.waitForOutput(
        /"listener":"health","state":"listening","address":"([^"]+)"/,
      );
      healthUrl = `http://${address}`;
      return bearerd;
    },
    async startEnvoy(door, change = (bootstrap) => bootstrap) {
      const bootstrap = generateEnvoy(config, {
        door,
        listen: { kind: 'tcp', host: '127.0.0.1', port: 0 },
        upstreams,
        ...(checkUpstream === undefined ? {} : { checkUpstream }),
      });
      const envoy = await startEnvoy({
        config: change(bootstrap),
        ...(options.version === undefined ? {} : { version: options.version }),
      });
      stops.push(() => envoy.stop());
      return gated(envoy);
    },
    readyz,
    readiness,
    probe,
    async ready(limitMs = 60_000) {
      const end = performance.now() + limitMs;
      while ((await readyz()) !== 200) {
        if (performance.now() > end) throw new Error(`bearerd is not ready: ${await readiness()}`);
        await sleep(20);
      }
    },
    metrics: async () => (await fetch(`${healthUrl}/metrics`)).text(),
    async stop() {
      for (const stop of stops.reverse()) await stop();
      await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
    },
  };
}

/** An Envoy with one listener, and requests to it. */
export async function gated(envoy: StartedEnvoy): Promise<GatedEnvoy> {
  const [listener] = (await envoy.admin('/listeners')).split('::');
  const port = await envoy.listenerPort(listener!);
  return { envoy, url: `http://127.0.0.1:${port}`, send: (path, sent) => send(port, path, sent) };
}

function configText(folder: string, provider: IdentityProvider, options: WorldOptions): string {
  return `version: 1
mode: development   # http to a provider on loopback
listen:
  check: ${options.check?.replaceAll('FOLDER', folder) ?? `unix://${folder}/check.sock`}
  xds: unix://${folder}/xds.sock
  health: 127.0.0.1:0
  admin: unix://${folder}/admin.sock
sources:
  orders:
    required: true
    client_credentials:
      ${provider.place ?? `issuer: ${provider.issuer}`}
      client_id: ${CLIENT.clientId}
      client_secret: { file: ${folder}/secret }
      scope: [${CLIENT.scope}]
outbound:
${options.before === undefined ? '' : `${options.before}\n`}  - name: orders
    match:
      hosts: [${ORDERS}]
      methods: ${options.methods ?? '[GET, POST]'}
      paths: ${options.paths ?? '[/v1/, /login, /always-401]'}
    inject: { source: orders }
${options.policy === undefined ? '' : `    ${options.policy}\n`}${options.settings ?? ''}
`;
}

/** A plain request to an Envoy's port. */
export function send(port: number, path: string, sent: SendOptions = {}) {
  const { host = ORDERS, method = 'GET', headers = {}, body } = sent;
  const begun = performance.now();
  return new Promise<Answer>((resolve, reject) => {
    const outgoing = request(
      { host: '127.0.0.1', port, path, method, headers: { host, ...headers } },
      (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
        incoming.on('end', () =>
          resolve({
            status: incoming.statusCode!,
            headers: incoming.headers,
            body: Buffer.concat(chunks).toString('utf8'),
            ms: performance.now() - begun,
          }),
        );
      },
    );
    outgoing.setTimeout(15_000, () => outgoing.destroy(new Error('no answer within 15 s')));
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
