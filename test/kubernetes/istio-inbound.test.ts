// The inbound side that is generated for Istio, on a real istiod and a plain Envoy: accepted, enforced, and enforced still
// under a flood of wrong tokens and without bearerd.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { send } from '../../demo/world.ts';
import { load, statuses } from '../support/load.ts';
import {
  extensionProviders,
  generateIstio,
  type Mesh,
  peerAuthentication,
  skipMesh,
  startMesh,
} from '../support/mesh.ts';
import { type MeshApp, startMeshApp } from '../support/mesh-app.ts';
import { freePorts } from '../support/ports.ts';

const NAMESPACE = 'shop';

describe('the inbound side of a mesh with a real istiod', { skip: skipMesh }, () => {
  let app: MeshApp;
  let mesh: Mesh;
  let port: number;
  let good: string;

  before(async () => {
    const [check, egress, ingress] = (await freePorts(3)) as [number, number, number];
    port = ingress;
    app = await startMeshApp(check);
    good = app.token();
    app.configure(`    - name: chat
      match: { paths: [/chat] }
      rate_limit: { requests: 2, per: 1h, key: { body: [model], max_body_bytes: 4096 } }
    - { name: api, match: {}, forward: { x-user: sub } }
`);
    await app.startBearerd();
    mesh = await startMesh(NAMESPACE, await extensionProviders(...flags('authorization-policy')));
    await mesh.cluster.createNamespace('neighbour');
    // Its certificate would come from istio-agent, which a plain Envoy has not beside it.
    await mesh.apply([peerAuthentication(NAMESPACE, 'DISABLE')]);
    await mesh.istio.joinEnvoy(NAMESPACE, egress, { port, app: app.port, provider: check });
  });
  after(async () => {
    await mesh?.stop();
    await app?.stop();
  });

  const flags = (form: string, namespace = NAMESPACE) => [
    ...['--config', app.configFile, '--namespace', namespace, '--inbound', form],
  ];

  const ask = (token?: string, headers: Record<string, string> = {}) =>
    send(port, '/v1/x', {
      host: 'orders',
      // A connection from before goes on with the filters of its time.
      headers: {
        connection: 'close',
        ...headers,
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
    });
  const status = (token?: string) =>
    ask(token).then(
      (answer) => answer.status,
      () => 0,
    );

  for (const form of ['filter', 'authorization-policy']) {
    test(`${form}: acked without an error; a token lets in, forged headers and wrong tokens do not come through`, async (t) => {
      await mesh.replaceFilters([]);
      await mesh.until(async () => (await status()) === 200, 'open before');
      await mesh.apply(await generateIstio(...flags(form, 'neighbour')));
      await mesh.replaceFilters(await generateIstio(...flags(form)));
      await mesh.until(async () => (await status()) === 401, 'enforced');
      await mesh.until(async () => (await status(good)) === 200, 'a good token comes in');
      await mesh.assertAccepted();

      app.arrived.length = 0;
      const forged = { 'x-user': 'mallory', x_user: 'mallory', 'X-User': 'mallory' };
      assert.equal((await ask(good, forged)).status, 200);
      assert.equal(app.arrived[0]!['x-user'], 'alice');
      assert.equal(app.arrived[0]!['x_user'], undefined);

      app.arrived.length = 0;
      let wrong = 0;
      const bad = load(() => ask(app.foreignToken({ jti: String(wrong++) })), 300, 4);
      const friends = load(() => ask(good), 20, 4);
      const refused = statuses(await bad);
      t.diagnostic(`flood: ${JSON.stringify(refused)}, callers: ${JSON.stringify(statuses(await friends))}`);
      assert.equal((refused[401] ?? 0) + (refused[429] ?? 0), 1_200);
      assert.deepEqual(statuses(await friends), { 200: 80 });
      assert.equal(app.arrived.length, 80);
      assert.ok(app.arrived.every((headers) => headers['x-user'] === 'alice'));
    });

    test(`${form}: a limit by the body counts who was let in, one value beside another`, async () => {
      const chat = (model: string, token?: string) =>
        send(port, '/chat', {
          host: 'orders',
          method: 'POST',
          headers: {
            connection: 'close',
            'content-type': 'application/json',
            ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          },
          body: JSON.stringify({ model }),
        }).then((answer) => answer.status);
      const small = `small-${form}`;
      for (let i = 0; i < 3; i++) assert.equal(await chat(small), 401);
      assert.deepEqual(
        [await chat(small, good), await chat(small, good), await chat(small, good)],
        [200, 200, 429],
      );
      assert.equal(await chat(`large-${form}`, good), 200);
      assert.equal(await chat('x'.repeat(5_000), good), 413);
    });

    test(`${form}: without bearerd nobody comes in, and with it again they do`, async () => {
      await app.stopBearerd();
      app.arrived.length = 0;
      assert.equal(await status(good), 503);
      assert.equal(await status(), 503);
      assert.equal(app.arrived.length, 0);
      await app.startBearerd();
      await mesh.until(async () => (await status(good)) === 200, 'back');
    });
  }
});
