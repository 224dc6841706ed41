// From a refused request to its answer, less the provider's own time: fifty users through the attempt door, one after the
// other, and one credential through the push door.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gated } from '../demo/world.ts';
import { parseConfig } from '../src/config/parse.ts';
import { generateEnvoy } from '../src/doors/generate/generate.ts';
import { startEnvoy } from '../test/support/envoy.ts';
import { startProcess } from '../test/support/process.ts';
import { type Figure, figureOf } from './figure.ts';

const SUBJECTS = 50;
/** A single credential may be renewed before time six times in a row. */
const PUSHES = 5;
const PROVIDER_MS = 20;
const HOST = 'orders.example.com';

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

/** A token endpoint that numbers its tokens and knows how long it took. */
function createProvider() {
  const told = { ms: 0, tokens: 0 };
  const server = createServer((request, response) => {
    const begun = performance.now();
    request.resume();
    setTimeout(() => {
      const token = {
        access_token: `token-${++told.tokens}`,
        issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        token_type: 'Bearer',
        expires_in: 3_600,
      };
      response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' });
      response.end(JSON.stringify(token), () => {
        told.ms = performance.now() - begun;
      });
    }, PROVIDER_MS);
  });
  return { server, told };
}

function createUpstream() {
  const revoked = new Set<string>();
  let last = '';
  const server = createServer((request, response) => {
    const token = request.headers.authorization ?? '';
    if (!revoked.has(token)) last = token;
    response.writeHead(revoked.has(token) ? 401 : 200).end(token);
  });
  return { server, revokeLast: () => void revoked.add(last) };
}

export async function heal(): Promise<readonly Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-bench-'));
  const provider = createProvider();
  const upstream = createUpstream();
  const file = join(folder, 'bearerd.yaml');
  const client = `token_endpoint: "http://127.0.0.1:${await listening(provider.server)}/token", client_id: a, client_secret: { inline: b }`;
  const text = `version: 1
mode: development
listen: { check: "unix://${folder}/check.sock", xds: "unix://${folder}/xds.sock" }
sources:
  users: { token_exchange: { ${client} } }
  service: { client_credentials: { ${client} } }
outbound:
  - { name: users, match: { hosts: [${HOST}], paths: [/users/] }, inject: { source: users } }
  - { name: service, match: { hosts: [${HOST}] }, inject: { source: service } }
limits: { forced_refreshes_per_hour: 100000, refreshes_per_hour: 100000, first_fetches_per_second: 1000 }
`;
  writeFileSync(file, text);
  const program = join(import.meta.dirname, '../bin/bearerd.js');
  const bearerd = await startProcess(process.execPath, [program, 'serve', '--config', file]);
  await bearerd.waitForOutput(/credential published/);
  const there = { address: '127.0.0.1', port: await listening(upstream.server) };
  // Users by attempt, the service by push.
  const config = generateEnvoy(parseConfig(text, file), {
    door: 'best',
    listen: { kind: 'tcp', host: '127.0.0.1', port: 0 },
    upstreams: { [HOST]: there, '*': there },
  });
  const envoy = await startEnvoy({ config, concurrency: 1 });
  try {
    const { send } = await gated(envoy);
    const healed = async (path: string, headers: Record<string, string>): Promise<number> => {
      await send(path, { headers });
      upstream.revokeLast();
      const before = provider.told.tokens;
      const { status, ms } = await send(path, { headers });
      if (status !== 200 || provider.told.tokens !== before + 1) throw new Error(`${path}: ${status}`);
      return ms - provider.told.ms;
    };
    const attempts: number[] = [];
    for (let i = 0; i < SUBJECTS; i++) {
      attempts.push(await healed(`/users/${i}`, { authorization: `Bearer user-${i}` }));
    }
    const pushes: number[] = [];
    for (let i = 0; i < PUSHES; i++) {
      await sleep(200); // Envoy's acknowledgement must be older than 50 ms
      pushes.push(await healed('/service', {}));
    }
    return [
      figureOf('heal_ms_attempt', attempts, 'ms', '10 or less'),
      figureOf('heal_ms_push', pushes, 'ms'),
    ];
  } finally {
    await envoy.stop();
    await bearerd.stop();
    for (const { server } of [provider, upstream]) {
      server.close();
      server.closeAllConnections();
    }
    rmSync(folder, { recursive: true, force: true });
  }
}
