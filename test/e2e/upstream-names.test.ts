// Whom a real Envoy sends credentials and apps' requests to, by what is generated: to nobody with the certificate of another name.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { createWorld, gated, ORDERS, type World } from '../../demo/world.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { type GenerateOptions, generateEnvoy } from '../../src/doors/generate/generate.ts';
import { startEnvoy } from '../support/envoy.ts';
import { freePort } from '../support/ports.ts';
import { startedWorld } from '../support/world.ts';

async function through(t: TestContext, world: World, options: Partial<GenerateOptions>) {
  const config = parseConfig(readFileSync(world.configFile, 'utf8'), world.configFile);
  const listen = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;
  const envoy = await startEnvoy({ config: generateEnvoy(config, { door: 'check', listen, ...options }) });
  t.after(() => envoy.stop());
  return (await gated(envoy)).send('/v1/orders', { host: ORDERS });
}

test('an upstream with the certificate of another name gets no credential, by any door', async (t) => {
  const world = await startedWorld(t);
  await world.ready();
  const { ca } = world.authority;
  const received: unknown[] = [];
  const shown = async (name: string): Promise<number> => {
    const { cert, key } = await world.authority.issue(name, 'server');
    const server = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (request, response) => {
      received.push(request.headers.authorization);
      response.end(name);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close().closeAllConnections());
    return (server.address() as AddressInfo).port;
  };
  const [own, other] = [await shown(ORDERS), await shown('other.example.com')];
  const ask = async (door: 'check' | 'push' | 'attempt', port: number, sni?: string) => {
    const upstream = { address: '127.0.0.1', port, tls: { ca, ...(sni ? { sni } : {}) } };
    return (await through(t, world, { door, upstreams: { [ORDERS]: upstream, '*': upstream } })).status;
  };
  const statuses = await Promise.all([
    ...(['check', 'push', 'attempt'] as const).map((door) => ask(door, other)),
    ask('check', own, 'other.example.com'),
    ask('check', own),
    ask('check', other, 'other.example.com'),
  ]);
  assert.deepEqual(statuses, [503, 503, 503, 503, 200, 200]);
  assert.deepEqual(
    received.map((header) => /^Bearer /.test(String(header))),
    [true, true],
  );
});

test('who has a certificate of the authority is not bearerd: apps’ requests are shown to the address’s name alone', async (t) => {
  const port = await freePort();
  const world = await createWorld({
    check: `{ address: "127.0.0.1:${port}", tls: { certificate: FOLDER/bearerd.pem, private_key: FOLDER/bearerd.key, client_ca: FOLDER/demo-authority.pem, allowed_uris: ["spiffe://envoy"] } }`,
  });
  t.after(() => world.stop());
  const { ca } = world.authority;
  const own = await world.authority.issue('envoy', 'client', { uris: ['spiffe://envoy'] });
  const there = { address: '127.0.0.1', port: world.upstream.port };
  const ask = async (addresses: readonly string[]): Promise<number> => {
    await world.authority.issue('bearerd', 'server', { addresses });
    const bearerd = await world.startBearerd();
    await world.ready();
    const tls = { ca, ...(await world.authority.issue('app', 'client')), sni: 'api' };
    const answer = await through(t, world, {
      upstreams: { [ORDERS]: { ...there, tls }, '*': there },
      checkUpstream: { address: '127.0.0.1', port, tls: { ca, ...own } },
    });
    await bearerd.stop();
    return answer.status;
  };
  assert.equal(await ask([]), 503);
  assert.equal(await ask(['127.0.0.1']), 200);
});
