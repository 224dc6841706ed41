// One bearerd with a source and a policy for each row of the matrix, real providers, and one real Envoy a door.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLocalJWKSet, type JWTPayload, jwtVerify } from 'jose';
import { type GatedEnvoy, gated } from '../../../demo/world.ts';
import { parseConfig } from '../../../src/config/parse.ts';
import { generateEnvoy } from '../../../src/doors/generate/generate.ts';
import { pushRefusals } from '../../../src/doors/generate/push-refusals.ts';
import { startEnvoy } from '../envoy.ts';
import { startProcess } from '../process.ts';
import { storeLogin } from '../stored-login.ts';
import { createParts, type Parts } from './parts.ts';
import { keycloakProvider, openIdProvider, type Provider, subjectToken } from './providers.ts';
import { DOORS, type Door, nameOf, type Row } from './row.ts';
import { configOf, EXPECTED, oauthWords, plainWords } from './words.ts';

export interface StartedMatrix {
  /** A plain request through the door: what the upstream got is the row's credential. */
  verify(row: Row, door: Door): Promise<void>;
  stop(): Promise<void>;
}

export async function startMatrix(rows: readonly Row[]): Promise<StartedMatrix> {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-matrix-'));
  const stops: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })];
  const stop = async () => {
    for (const one of stops.reverse()) await one();
  };
  try {
    return { verify: await start(rows, folder, stops), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function start(
  rows: readonly Row[],
  folder: string,
  stops: (() => unknown)[],
): Promise<StartedMatrix['verify']> {
  const parts = await createParts(folder);
  stops.push(parts.stop);
  const providers = new Map<string, Provider>();
  for (const [name, create] of [
    ['oidc-provider', openIdProvider],
    ['Keycloak', keycloakProvider],
  ] as const) {
    if (!rows.some((row) => row.provider === name)) continue;
    const provider = await create(parts);
    providers.set(name, provider);
    stops.push(provider.stop);
  }
  const jwks = new Map<string, ReturnType<typeof createLocalJWKSet>>();
  for (const [name, { issuer }] of providers) {
    const { jwks_uri } = (await getJson(`${issuer}/.well-known/openid-configuration`, parts)) as Metadata;
    jwks.set(name, createLocalJWKSet((await getJson(jwks_uri, parts)) as never));
  }
  const upstream = await listening(
    createServer((incoming, out) => out.end(JSON.stringify(incoming.headers))),
  );
  const small = await listening(
    createServer((_, out) => {
      out.setHeader('content-type', 'application/json');
      out.end('{"access_token":"of-the-small-server","expires_in":300}');
    }),
  );
  stops.push(upstream.stop, small.stop);

  const sources: Record<string, object> = {};
  for (const row of rows) {
    const provider = providers.get(row.provider);
    const own = provider ? await oauthWords(row, provider, parts) : plainWords(row, parts, small.port);
    sources[nameOf(row)] = { required: row.source !== 'token_exchange', [row.source]: own };
  }
  const configFile = parts.write('bearerd.yaml', JSON.stringify(configOf(folder, sources)));
  for (const row of rows.filter((candidate) => candidate.source === 'refresh_token')) {
    const { refresh_token: words } = sources[nameOf(row)] as { refresh_token: object };
    const { store: _, ...client } = words as { store: object };
    await storeLogin(configFile, nameOf(row), await providers.get(row.provider)!.refreshToken(client));
  }

  const bearerd = await startProcess(
    process.execPath,
    [join(import.meta.dirname, '../../../bin/bearerd.js'), 'serve', '--config', configFile],
    { name: 'bearerd' },
  );
  stops.push(() => bearerd.stop());
  const [, health] = await bearerd.waitForOutput(
    /"listener":"health","state":"listening","address":"([^"]+)"/,
  );
  await ready(`http://${health}/readyz`, () => bearerd.output());

  if (rows.some((row) => row.source === 'signed_jwt')) {
    providers.set('bearerd itself', SELF);
    const keys = await (await fetch(`http://${health}/.well-known/jwks.json`)).json();
    jwks.set('bearerd itself', createLocalJWKSet(keys as never));
  }

  providers.set('the Workload API', MESH);
  jwks.set('the Workload API', createLocalJWKSet(parts.workloadApi.jwks()));

  const whole = parseConfig(readFileSync(configFile, 'utf8'), configFile);
  const refusals = new Map(whole.outbound.map((policy) => [policy.name, pushRefusals(whole, policy)]));
  const doors = new Map<Door, GatedEnvoy>();
  for (const door of DOORS) {
    const served = Object.fromEntries(
      Object.entries(sources).filter(([name]) => door !== 'push' || refusals.get(name)!.length === 0),
    );
    const config = parseConfig(JSON.stringify(configOf(folder, served)), configFile);
    const envoy = await startEnvoy({
      config: generateEnvoy(config, {
        door,
        listen: { kind: 'tcp', host: '127.0.0.1', port: 0 },
        upstreams: Object.fromEntries(
          Object.keys(served).map((name) => [
            `${name}.example.com`,
            { address: '127.0.0.1', port: upstream.port },
          ]),
        ),
      }),
    });
    stops.push(() => envoy.stop());
    doors.set(door, await gated(envoy));
  }
  const keycloak = providers.get('Keycloak');
  const ofAlice = keycloak === undefined ? '' : await subjectToken(keycloak, parts);

  return async (row, door) => {
    const name = nameOf(row);
    const refused = door === 'push' ? refusals.get(name)! : [];
    if (refused.length > 0) {
      // No cell: the generator says so, in words that name the policy.
      assert.match(refused[0]!, new RegExp(`^outbound\\.${name} cannot be served by push`));
      return;
    }
    const app = row.source === 'token_exchange' ? ofAlice : 'of-the-app';
    const send = () =>
      doors.get(door)!.send('/x', {
        host: `${name}.example.com`,
        headers: { authorization: `Bearer ${app}` },
      });
    let answer = await send();
    // A first exchange may take longer than Envoy waits; the next request finds it.
    for (let i = 0; i < 50 && answer.status === 503 && row.source === 'token_exchange'; i++) {
      await sleep(100);
      answer = await send();
    }
    const { status, body } = answer;
    assert.equal(status, 200, body);
    const { authorization } = JSON.parse(body) as { authorization: string };
    const provider = providers.get(row.provider);
    if (provider === undefined) {
      assert.equal(authorization, `Bearer ${EXPECTED[row.source]}`);
      return;
    }
    const token = authorization.replace('Bearer ', '');
    const expected = provider.issuer === '' ? {} : { issuer: provider.issuer };
    const { payload } = await jwtVerify(token, jwks.get(row.provider)!, expected);
    assert.equal(payload[provider.clientClaim], provider.clients[row.method]);
    if (row.method !== '-') {
      assert.equal(userOf(payload), row.source === 'client_credentials' ? undefined : 'alice');
    }
  };
}

const SELF: Provider = {
  issuer: 'https://checkout.example.com',
  clientClaim: 'sub',
  clients: { '-': 'checkout' },
  refreshToken: () => Promise.reject(new Error('no provider')),
  stop: async () => {},
};

/** Its JWTs name no issuer. */
const MESH: Provider = { ...SELF, issuer: '', clients: { '-': 'spiffe://example.org/checkout' } };

interface Metadata {
  readonly jwks_uri: string;
}

/** Of service accounts Keycloak makes users of its own. */
function userOf(claims: JWTPayload): unknown {
  const user = claims['preferred_username'] ?? claims.sub;
  return typeof user === 'string' && (user.startsWith('service-account-') || user === claims['client_id'])
    ? undefined
    : user;
}

async function listening(server: Server): Promise<{ readonly port: number; stop(): void }> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function ready(url: string, output: () => string): Promise<void> {
  const deadline = performance.now() + 30_000;
  let answer = await fetch(url);
  while (answer.status !== 200) {
    if (performance.now() > deadline) throw new Error(`not ready: ${await answer.text()}\n${output()}`);
    await sleep(100);
    answer = await fetch(url);
  }
}

function getJson(url: string, { authority }: Parts): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { ca: readFileSync(authority.ca) }, async (incoming) => {
      resolve(JSON.parse(Buffer.concat(await incoming.toArray()).toString()));
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}
