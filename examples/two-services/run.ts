// npm run example: shop calls stock, as both are; beside each an Envoy and a bearerd, whose policies are in shadow.
import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import { createAuthority } from '../../demo/certificates.ts';
import { startIdentityProvider } from '../../demo/identity-provider.ts';
import { startEnvoy } from '../../test/support/envoy.ts';
import { type StartedProcess, startProcess } from '../../test/support/process.ts';

const HERE = import.meta.dirname;
const BEARERD = join(HERE, '../../bin/bearerd.js');
/** Ports count up from here: 0 shop, 1 its Envoy, 2 stock's Envoy, 3 stock, 6 and 7 metrics, 9 the identity provider. */
const BASE = Number(process.env['EXAMPLE_PORTS'] ?? 8_000);
const run = process.env['EXAMPLE_FOLDER'] ?? join(HERE, 'run');
const port = (i: number) => String(BASE + i);
const file = (name: string) => join(run, name);
const stops: (() => Promise<unknown>)[] = [];
const say = (text: string) => process.stdout.write(`${text}\n`);

async function start(): Promise<void> {
  for (let i = 0; i < 10; i++) {
    if (await isTaken(BASE + i)) {
      throw new Error(`port ${port(i)} is taken; ten others in a row: EXAMPLE_PORTS=18000 npm run example`);
    }
  }
  await rm(run, { recursive: true, force: true });
  await mkdir(run, { recursive: true });
  for (const name of ['shop.yaml', 'stock.yaml']) {
    const text = await readFile(join(HERE, name), 'utf8');
    await writeFile(
      file(name),
      text
        .replaceAll('RUN', run)
        .replaceAll(/127\.0\.0\.1:800(\d)/g, (_, i) => `127.0.0.1:${port(Number(i))}`),
    );
  }

  say('Before: the two services and an identity provider.');
  const client = {
    clientId: 'shop',
    clientSecret: 'a secret of the example',
    audience: 'stock',
    scope: 'stock.read',
  };
  const provider = await startIdentityProvider({ ...client, port: BASE + 9 });
  stops.push(() => provider.stop());
  await service('stock', { PORT: port(3) });
  // Its own Envoy instead of stock: the one thing that changes, and it is configuration.
  await service('shop', { PORT: port(0), STOCK_URL: `http://localhost:${port(1)}` });

  say('\nAdded: mTLS between two Envoys, whose configuration is generated from the policies.');
  const authority = await createAuthority(run);
  const shop = await authority.issue('shop', 'client', { uris: ['spiffe://example.org/shop'] });
  const stock = await authority.issue('stock', 'server');
  await writeFile(file('shop-secret'), client.clientSecret, { mode: 0o600 });
  const tls = { ca: authority.ca, cert: shop.cert, key: shop.key, sni: 'stock' };
  await writeFile(
    file('upstreams.yaml'),
    JSON.stringify({ localhost: { address: '127.0.0.1', port: BASE + 2, tls } }),
  );
  await writeFile(
    file('tls.yaml'),
    JSON.stringify({ certificate: stock.cert, private_key: stock.key, client_ca: authority.ca }),
  );
  await envoy('shop', [
    '--door',
    'check',
    '--listen',
    `127.0.0.1:${port(1)}`,
    '--upstreams',
    file('upstreams.yaml'),
  ]);
  await envoy('stock', [
    ...['--door', 'inbound', '--listen', `127.0.0.1:${port(2)}`],
    ...['--app', `127.0.0.1:${port(3)}`, '--tls', file('tls.yaml')],
  ]);

  say('\nAdded: a bearerd on each side.');
  for (const name of ['shop', 'stock']) {
    const args = ['serve', '--config', file(`${name}.yaml`)];
    say(`  bearerd ${shown(args)}`);
    const bearerd = await keep(
      await startProcess(process.execPath, [BEARERD, ...args], { name: `bearerd of ${name}` }),
    );
    await bearerd.waitForOutput(/"listener":"health","state":"listening"/);
  }
  say(`\nBoth policies are in shadow: nothing has changed for anybody. Try: curl localhost:${port(0)}/order`);
}

function isTaken(candidate: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(true));
    server.listen(candidate, '127.0.0.1', () => server.close(() => resolve(false)));
  });
}

async function service(name: string, env: Readonly<Record<string, string>>): Promise<void> {
  const settings = Object.entries(env).map(([key, value]) => `${key}=${value}`);
  say(`  ${settings.join(' ')} node ${name}.js`);
  const started = await startProcess(process.execPath, [join(HERE, `${name}.js`)], {
    name,
    env: { ...process.env, ...env },
  });
  await keep(started);
  await started.waitForOutput(/listens/);
}

async function envoy(name: string, options: readonly string[]): Promise<void> {
  const args = ['generate', 'envoy', '--config', file(`${name}.yaml`), ...options];
  say(`  bearerd ${shown(args)} > ${name}.envoy.yaml && envoy -c ${name}.envoy.yaml`);
  const { stdout } = await promisify(execFile)(process.execPath, [BEARERD, ...args]);
  await writeFile(file(`${name}.envoy.yaml`), stdout);
  const started = await startEnvoy({ config: stdout });
  stops.push(() => started.stop());
}

const shown = (args: readonly string[]) =>
  args.map((arg) => (relative(run, arg).startsWith('..') ? arg : relative(run, arg) || arg)).join(' ');

async function keep(started: StartedProcess): Promise<StartedProcess> {
  stops.push(() => started.stop());
  return started;
}

async function stop(): Promise<void> {
  for (const one of stops.splice(0).reverse()) await one();
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void stop().then(() => process.exit(0)));
}
try {
  await start();
} catch (error) {
  say(`the example could not start: ${(error as Error).message}`);
  process.exitCode = 1;
  await stop();
}
