// Denials and limits by the body in a mesh with a real istiod: an Envoy beside the app takes what is generated, and does it.
import assert from 'node:assert/strict';
import { createServer, globalAgent } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createWorld, ORDERS, send, type World } from '../../demo/world.ts';
import type { StartedEnvoy } from '../support/envoy.ts';
import { generateIstio, type Mesh, serviceEntry, skipMesh, startMesh } from '../support/mesh.ts';
import { freePort } from '../support/ports.ts';

const NAMESPACE = 'shop';

describe('denials and limits by the body in a mesh with a real istiod', { skip: skipMesh }, () => {
  let world: World;
  let mesh: Mesh;
  let envoy: StartedEnvoy;
  let port: number;
  let authorizations: (string | undefined)[] = [];
  const upstream = createServer((request, response) => {
    authorizations.push(request.headers.authorization);
    request.resume();
    response.end('{}');
  });

  before(async () => {
    await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
    world = await createWorld({
      before: `  - name: no-deletes
    match: { hosts: [${ORDERS}], methods: [DELETE] }
    deny: true`,
      methods: '[GET, POST, DELETE]',
      policy: 'rate_limit: { requests: 2, per: 1h, key: { body: [model], max_body_bytes: 4096 } }',
    });
    await world.startBearerd();
    await world.ready();
    mesh = await startMesh(NAMESPACE);
    port = await freePort();
    const there = { address: '127.0.0.1', port: (upstream.address() as AddressInfo).port };
    await mesh.apply([serviceEntry(NAMESPACE, ORDERS, port, there)]);
    envoy = await mesh.istio.joinEnvoy(NAMESPACE, port);
  });
  after(async () => {
    await mesh?.stop();
    await world?.stop();
    upstream.close().closeAllConnections();
  });

  const post = (model: string) =>
    send(port, '/v1/chat', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model }),
    });

  for (const door of ['check', 'push', 'attempt']) {
    test(`${door === 'push' ? 'both' : door}: what is denied never leaves, and one model is limited where another is not`, async () => {
      const flags = ['--config', world.configFile, '--namespace', NAMESPACE];
      const documents = await generateIstio(...flags, '--door', door === 'push' ? 'both' : door);
      const filters = documents.filter(({ kind }) => kind === 'EnvoyFilter');
      // Whatever is older: Istio counts in seconds.
      await mesh.replaceFilters(filters.filter(({ metadata }) => metadata.name !== 'bearerd-body-limits'));
      await sleep(1_100);
      await mesh.replaceFilters(filters);
      await mesh.until(async () => {
        authorizations = [];
        globalAgent.destroy();
        const { status } = await post(`try-${door}-${Date.now()}`).catch(() => ({ status: 0 }));
        const denied = await send(port, '/v1/x', { method: 'DELETE' }).catch(() => ({ status: 0 }));
        return status === 200 && denied.status === 403 && authorizations[0]?.startsWith('Bearer ') === true;
      }, `a credential by ${door}`);
      await sleep(1_000);
      globalAgent.destroy();
      await mesh.assertAccepted();

      const dump = await envoy.admin('/config_dump?resource=dynamic_listeners');
      const at = (filter: string) => dump.indexOf(`"name": "${filter}`);
      assert.ok(at('bearerd.buffer') > 0);
      assert.ok(
        at('bearerd.local_ratelimit') < at('envoy.filters.http.ext_authz'),
        'counted before the check',
      );

      authorizations = [];
      const denied = await send(port, '/v1/x', { method: 'DELETE' });
      assert.deepEqual([denied.status, denied.headers['x-bearerd-reason']], [403, 'denied']);
      assert.deepEqual(authorizations, []);
      // Each door has filters of its own, and with them buckets.
      const small = [];
      for (let i = 0; i < 3; i++) small.push((await post(`small-${door}`)).status);
      assert.deepEqual(small, [200, 200, 429]);
      assert.equal((await post(`other-${door}`)).status, 200);
      assert.equal((await post('x'.repeat(5_000))).status, 413);
    });
  }
});
