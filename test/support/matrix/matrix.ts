// One bearerd with a source and a policy for each row of the matrix, real providers, and real Envoys of each tested version a door.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { calculateJwkThumbprint, createLocalJWKSet, EmbeddedJWK, type JWTPayload, jwtVerify } from 'jose';
import { type GatedEnvoy, gated } from '../../../demo/world.ts';
import { parseConfig } from '../../../src/config/parse.ts';
import { generateEnvoy } from '../../../src/doors/generate/generate.ts';
import { GenerateError } from '../../../src/doors/generate/problems.ts';
import { startEnvoy, TESTED_ENVOYS } from '../envoy.ts';
import { startProcess } from '../process.ts';
import { storeLogin } from '../stored-login.ts';
import { createParts, type Parts } from './parts.ts';
import { keycloakProvider, openIdProvider, type Provider, subjectToken } from './providers.ts';
import { DOORS, type Door, nameOf, type Row } from './row.ts';
import { configOf, EXPECTED, oauthWords, plainWords, UPSTREAM_URL } from './words.ts';

export interface StartedMatrix {
  /**
   * A plain request through the door of each Envoy: what the upstream got is the row's credential. Returns why the door cannot serve
   * the row, by the word of the generator; undefined = it did.
   */
  verify(row: Row, door: Door): Promise<string | undefined>;
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

  const generated = (served: Readonly<Record<string, object>>, door: Door) =>
    generateEnvoy(parseConfig(JSON.stringify(configOf(folder, served)), configFile), {
      door,
      listen: { kind: 'tcp', host: '127.0.0.1', port: 0 },
      upstreams: Object.fromEntries(
        Object.keys(served).map((name) => [
          `${name}.example.com`,
          { address: '127.0.0.1', port: upstream.port },
        ]),
      ),
    });
  const refusals = new Map<string, string>();
  const doors = new Map<Door, readonly GatedEnvoy[]>();
  for (const door of DOORS) {
    const served: Record<string, object> = {};
    for (const [name, source] of Object.entries(sources)) {
      const refusal = refusalOf(() => generated({ [name]: source }, door));
      if (refusal === undefined) served[name] = source;
      else refusals.set(`${name} ${door}`, refusal);
    }
    const config = generated(served, door);
    const envoys = await Promise.all(
      TESTED_ENVOYS.map(async (version) => {
        const envoy = await startEnvoy({ config, version });
        stops.push(() => envoy.stop());
        return gated(envoy);
      }),
    );
    doors.set(door, envoys);
  }
  const keycloak = providers.get('Keycloak');
  const ofAlice = keycloak === undefined ? '' : await subjectToken(keycloak, parts);

  return async (row, door) => {
    const name = nameOf(row);
    const refusal = refusals.get(`${name} ${door}`);
    if (refusal !== undefined) {
      assert.match(refusal, new RegExp(`outbound\\.${name}:? .*cannot be served by ${door}`));
      return refusal;
    }
    for (const envoy of doors.get(door)!) await verifyThrough(envoy, row);
    return undefined;
  };

  async function verifyThrough(envoy: GatedEnvoy, row: Row): Promise<void> {
    const name = nameOf(row);
    const app = row.source === 'token_exchange' ? ofAlice : 'of-the-app';
    const send = () =>
      envoy.send('/x', { host: `${name}.example.com`, headers: { authorization: `Bearer ${app}` } });
    let answer = await send();
    // A first exchange may take longer than Envoy waits; the next request finds it.
    for (let i = 0; i < 200 && answer.status === 503 && row.source === 'token_exchange'; i++) {
      await sleep(100);
      answer = await send();
    }
    const { status, body } = answer;
    assert.equal(status, 200, body);
    const { authorization, dpop } = JSON.parse(body) as { authorization: string; dpop?: string };
    const provider = providers.get(row.provider);
    if (provider === undefined) {
      assert.equal(authorization, `Bearer ${EXPECTED[row.source]}`);
      return;
    }
    const [scheme, token = ''] = authorization.split(' ');
    assert.equal(scheme, row.method.includes('DPoP') ? 'DPoP' : 'Bearer');
    const expected = provider.issuer === '' ? {} : { issuer: provider.issuer };
    const { payload } = await jwtVerify(token, jwks.get(row.provider)!, expected);
    assert.equal(payload[provider.clientClaim], provider.clients[row.method]);
    if (row.method.includes('DPoP')) await verifyProof(dpop, payload);
    if (row.method !== '-') {
      assert.equal(userOf(payload), row.source === 'client_credentials' ? undefined : 'alice');
    }
  }
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

/** RFC 9449 section 4.3: by the key that the token is bound to. */
async function verifyProof(proof: string | undefined, { cnf }: JWTPayload): Promise<void> {
  const { payload, protectedHeader } = await jwtVerify(proof ?? '', EmbeddedJWK, { typ: 'dpop+jwt' });
  assert.equal(payload['htu'], `${UPSTREAM_URL}/x`);
  const { jkt } = cnf as { jkt: string };
  assert.equal(await calculateJwkThumbprint(protectedHeader.jwk as never), jkt);
}

function refusalOf(generate: () => unknown): string | undefined {
  try {
    generate();
    return undefined;
  } catch (error) {
    if (error instanceof GenerateError) return error.message;
    throw error;
  }
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
  const deadline = performance.now() + 120_000;
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
