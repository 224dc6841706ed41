// The inbound side with every part real: callers, Envoy with the generated configuration, bearerd as its own process, and
// an app that answers what arrived.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { parseConfig } from '../../src/config/parse.ts';
import { generateInbound, type InboundTls } from '../../src/doors/generate/inbound/inbound.ts';
import { type EnvoyVersion, type StartedEnvoy, startEnvoy } from './envoy.ts';
import { endServer } from './loopback.ts';
import { type StartedProcess, startProcess } from './process.ts';
import { createTestKey, jwkSet, type TestKey } from './token-issuer.ts';
import { until } from './until.ts';

export interface Seen {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** What the app got; undefined when it got nothing. */
  readonly app: { readonly path: string; readonly headers: Readonly<Record<string, string>> } | undefined;
  readonly body: string;
}

export interface InboundEnvoy {
  readonly folder: string;
  readonly key: TestKey;
  readonly envoy: StartedEnvoy;
  readonly bearerd: StartedProcess;
  readonly port: number;
  /** Requests that reached the app. */
  arrived(): number;
  write(file: string, text: string): void;
  send(path: string, headers?: SentHeaders, method?: string, body?: string): Promise<Seen>;
  metrics(): Promise<string>;
}

type SentHeaders = Readonly<Record<string, string | string[]>>;

export interface InboundEnvoyOptions {
  /** YAML below `inbound:`, indented by two. Files lie in the folder. */
  readonly inbound: string;
  readonly files?: Readonly<Record<string, string>>;
  readonly version?: EnvoyVersion;
  readonly tls?: (folder: string) => Promise<InboundTls>;
  readonly settings?: string;
  /** Changes the generated document before Envoy starts; FOLDER in it = the test's folder. */
  readonly patch?: (yaml: string) => string;
}

export async function startInboundEnvoy(t: TestContext, options: InboundEnvoyOptions): Promise<InboundEnvoy> {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-inbound-'));
  // What was started ends also when the next part does not start.
  const ends: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })];
  t.after(async () => {
    for (const end of ends.reverse()) await end();
  });
  const key = createTestKey('one');
  const write = (file: string, text: string) => writeFileSync(join(folder, file), text);
  write('jwks.json', jwkSet(key));
  for (const [file, text] of Object.entries(options.files ?? {})) write(file, text);
  const configFile = join(folder, 'bearerd.yaml');
  const text = `version: 1
mode: development
listen:
  check_inbound: unix://${folder}/in.sock
  health: 127.0.0.1:0
  admin: unix://${folder}/admin.sock
${options.settings ?? ''}
inbound:${options.inbound}`;
  writeFileSync(configFile, text);

  let arrived = 0;
  const app = createServer((incoming, outgoing) => {
    arrived++;
    incoming.resume();
    const headers: Record<string, string> = {};
    for (let i = 0; i < incoming.rawHeaders.length; i += 2) {
      const name = incoming.rawHeaders[i]!.toLowerCase();
      headers[name] = headers[name]
        ? `${headers[name]} | ${incoming.rawHeaders[i + 1]}`
        : incoming.rawHeaders[i + 1]!;
    }
    outgoing.setHeader('content-type', 'application/json');
    outgoing.setHeader('vary', 'accept-encoding');
    outgoing.end(JSON.stringify({ path: incoming.url, headers }));
  });
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
  ends.push(() => endServer(app));
  const appPort = (app.address() as { port: number }).port;

  const bearerd = await startProcess(
    process.execPath,
    [join(import.meta.dirname, '../../bin/bearerd.js'), 'serve', '--config', configFile],
    { name: 'bearerd' },
  );
  ends.push(() => bearerd.stop());
  const [, health] = await bearerd.waitForOutput(
    /"listener":"health","state":"listening","address":"([^"]+)"/,
  );
  const tls = await options.tls?.(folder);
  const yaml = generateInbound(parseConfig(text, configFile), {
    listen: { kind: 'tcp', host: '127.0.0.1', port: 0 },
    app: { kind: 'tcp', host: '127.0.0.1', port: appPort },
    ...(tls === undefined ? {} : { tls }),
  });
  const envoy = await startEnvoy({
    config: options.patch?.(yaml).replaceAll('FOLDER', folder) ?? yaml,
    ...(options.version === undefined ? {} : { version: options.version }),
  });
  ends.push(() => envoy.stop());
  await until(bearerd.output, async () => (await fetch(`http://${health}/readyz`)).status === 200);
  const port = await envoy.listenerPort('inbound');

  return {
    folder,
    key,
    envoy,
    bearerd,
    port,
    arrived: () => arrived,
    write,
    send: (path, headers = {}, method = 'GET', body = '') => send(port, path, headers, method, body),
    metrics: async () => (await fetch(`http://${health}/metrics`)).text(),
  };
}

function send(port: number, path: string, headers: SentHeaders, method: string, body: string): Promise<Seen> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { host: '127.0.0.1', port, path, method, headers: { host: 'api.example.com', ...headers } },
      (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
        incoming.on('end', () =>
          resolve(seen(incoming.statusCode!, incoming.headers, Buffer.concat(chunks))),
        );
      },
    );
    outgoing.setTimeout(10_000, () => outgoing.destroy(new Error('no answer within 10 s')));
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

export function seen(status: number, headers: Seen['headers'], bytes: Buffer): Seen {
  const body = bytes.toString('utf8');
  return { status, headers, app: status === 200 ? JSON.parse(body) : undefined, body };
}
