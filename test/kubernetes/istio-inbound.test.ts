// The inbound side that is generated for Istio, on a real istiod and a plain Envoy: accepted, enforced, and enforced still
// under a flood of wrong tokens and without bearerd.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { send } from '../../demo/world.ts';
import { istioParts } from '../../tools/parts/istio.ts';
import { kubernetesParts } from '../../tools/parts/kubernetes.ts';
import type { StartedEnvoy } from '../support/envoy.ts';
import { type Istio, startIstio } from '../support/istio.ts';
import { type Kubernetes, startKubernetes } from '../support/kubernetes.ts';
import { load, statuses } from '../support/load.ts';
import { freePorts } from '../support/ports.ts';
import { type StartedProcess, startProcess } from '../support/process.ts';
import { createTestKey, jwkSet, signToken } from '../support/token-issuer.ts';

const parts = { kubernetes: await kubernetesParts(), istio: await istioParts() };
const skip = parts.kubernetes && parts.istio ? false : 'npm run parts:kubernetes builds it';
const NAMESPACE = 'shop';

describe('the inbound side of a mesh with a real istiod', { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-istio-'));
  const configFile = join(folder, 'bearerd.yaml');
  const key = createTestKey('one');
  const seconds = Math.floor(Date.now() / 1_000);
  const claims = { iss: 'https://idp.example.com', aud: 'orders', sub: 'alice', exp: seconds + 3_600 };
  const good = signToken(key, claims);
  let arrived: IncomingHttpHeaders[] = [];
  const app = createServer((request, response) => {
    arrived.push(request.headers);
    response.end('{}');
  });
  let cluster: Kubernetes;
  let istio: Istio;
  let envoy: StartedEnvoy;
  let bearerd: StartedProcess;
  let port: number;

  before(async () => {
    const [check, egress, ingress] = (await freePorts(3)) as [number, number, number];
    port = ingress;
    await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
    writeFileSync(join(folder, 'jwks.json'), jwkSet(key));
    writeFileSync(
      configFile,
      `version: 1
listen: { check_inbound: "127.0.0.1:${check}" }
inbound:
  issuers:
    idp: { issuer: "${claims.iss}", jwks_file: jwks.json, audience: orders }
  policies:
    - { name: chat, match: { paths: [/chat] }, rate_limit: { requests: 2, per: 1h, key: { body: [model], max_body_bytes: 4096 } } }
    - { name: api, match: {}, forward: { x-user: sub } }
`,
    );
    bearerd = await startBearerd();
    cluster = await startKubernetes(parts.kubernetes!);
    // What the generator prints for the mesh configuration, as it prints it.
    const printed = (await generated('authorization-policy')).split('\n');
    const from = printed.findIndex((line) => line.includes('extensionProviders:'));
    const to = printed.findIndex((line) => line.includes('Until it is there'));
    istio = await startIstio(
      parts.istio!,
      cluster,
      printed
        .slice(from, to)
        .map((line) => `${line.replace('#   ', '')}\n`)
        .join(''),
    );
    await cluster.createNamespace(NAMESPACE);
    await cluster.createNamespace('neighbour');
    // Its certificate would come from istio-agent, which a plain Envoy has not beside it.
    const plaintext = {
      apiVersion: 'security.istio.io/v1',
      kind: 'PeerAuthentication',
      metadata: { name: 'default', namespace: NAMESPACE },
      spec: { mtls: { mode: 'DISABLE' } },
    };
    await cluster.kubectl(['apply', '-f', '-'], JSON.stringify(plaintext));
    envoy = await istio.joinEnvoy(NAMESPACE, egress, {
      port,
      app: (app.address() as AddressInfo).port,
      provider: check,
    });
  });
  after(async () => {
    await istio?.stop();
    await cluster?.stop();
    await bearerd?.stop();
    app.close().closeAllConnections();
    rmSync(folder, { recursive: true, force: true });
  });

  async function startBearerd(): Promise<StartedProcess> {
    const started = await startProcess(
      process.execPath,
      [join(import.meta.dirname, '../../bin/bearerd.js'), 'serve', '--config', configFile],
      { name: 'bearerd' },
    );
    await started.waitForOutput(/"state":"listening"/);
    return started;
  }

  async function generated(form: string, namespace = NAMESPACE): Promise<string> {
    const { stdout } = await promisify(execFile)(process.execPath, [
      ...['dist/main.js', 'generate', 'istio', '--config', configFile],
      ...['--namespace', namespace, '--inbound', form],
    ]);
    return stdout;
  }

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

  async function until(wanted: () => Promise<boolean>, what: string): Promise<void> {
    for (const end = Date.now() + 30_000; !(await wanted()); await sleep(200)) {
      if (Date.now() > end)
        assert.fail(`${what}: ${JSON.stringify(await istio.sync())}\n${envoy.process.output()}`);
    }
  }

  for (const form of ['filter', 'authorization-policy']) {
    test(`${form}: acked without an error; a token lets in, forged headers and wrong tokens do not come through`, async (t) => {
      await cluster.kubectl([
        ...['delete', 'envoyfilter,authorizationpolicy,serviceentry', '--all', '-n', NAMESPACE],
      ]);
      await until(async () => (await status()) === 200, 'open before');
      for (const namespace of ['neighbour', NAMESPACE])
        await cluster.kubectl(['apply', '-f', '-'], await generated(form, namespace));
      await until(async () => (await status()) === 401, 'enforced');
      await until(async () => (await status(good)) === 200, 'a good token comes in');
      const sync = await istio.sync();
      assert.ok(sync.some(({ type }) => type === 'Listener'));
      assert.deepEqual(
        sync.filter(({ acked, error }) => !acked || error !== undefined),
        [],
      );

      arrived = [];
      const forged = { 'x-user': 'mallory', x_user: 'mallory', 'X-User': 'mallory' };
      assert.equal((await ask(good, forged)).status, 200);
      assert.equal(arrived[0]!['x-user'], 'alice');
      assert.equal(arrived[0]!['x_user'], undefined);

      arrived = [];
      const stranger = createTestKey('one');
      let wrong = 0;
      const bad = load(() => ask(signToken(stranger, { ...claims, jti: String(wrong++) })), 300, 4);
      const friends = load(() => ask(good), 20, 4);
      const refused = statuses(await bad);
      t.diagnostic(`flood: ${JSON.stringify(refused)}, callers: ${JSON.stringify(statuses(await friends))}`);
      assert.equal((refused[401] ?? 0) + (refused[429] ?? 0), 1_200);
      assert.deepEqual(statuses(await friends), { 200: 80 });
      assert.equal(arrived.length, 80);
      assert.ok(arrived.every((headers) => headers['x-user'] === 'alice'));
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
        }).then(({ status }) => status);
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
      await bearerd.stop();
      arrived = [];
      assert.equal(await status(good), 503);
      assert.equal(await status(), 503);
      assert.equal(arrived.length, 0);
      bearerd = await startBearerd();
      await until(async () => (await status(good)) === 200, 'back');
    });
  }
});
