// The inbound side on the mTLS of a mesh: an Envoy with a certificate of istiod's own authority, callers with theirs, policies that
// ask for SPIFFE names and tokens that are bound to a certificate.
import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { globalAgent } from 'node:http';
import { Agent, request } from 'node:https';
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
import { type IdentityServer, type MeshIdentity, startIdentityServer } from '../support/mesh-identity.ts';
import { freePorts } from '../support/ports.ts';

const NAMESPACE = 'shop';
const CHECKOUT = `spiffe://cluster.local/ns/${NAMESPACE}/sa/checkout`;
const SERVER = `spiffe://cluster.local/ns/${NAMESPACE}/sa/default`;

describe('the inbound side on the mTLS of a mesh', { skip: skipMesh }, () => {
  let app: MeshApp;
  let mesh: Mesh;
  let identities: IdentityServer;
  let checkout: MeshIdentity;
  let other: MeshIdentity;
  let bound: string;
  let port: number;

  before(async () => {
    const [check, egress, ingress] = (await freePorts(3)) as [number, number, number];
    port = ingress;
    app = await startMeshApp(check);
    configure('xfcc');
    mesh = await startMesh(NAMESPACE, await extensionProviders(...flags('authorization-policy')));
    for (const account of ['checkout', 'other'])
      await mesh.cluster.kubectl(['create', 'serviceaccount', account, '-n', NAMESPACE]);
    identities = await startIdentityServer(await mesh.identity('default'));
    checkout = await mesh.identity('checkout');
    other = await mesh.identity('other');
    const thumbprint = createHash('sha256')
      .update(new X509Certificate(checkout.certificate).raw)
      .digest('base64url');
    bound = app.token({ cnf: { 'x5t#S256': thumbprint } });
    await mesh.apply([peerAuthentication(NAMESPACE, 'STRICT')]);
    await mesh.istio.joinEnvoy(NAMESPACE, egress, { port, app: app.port, provider: check }, [
      identities.cluster,
    ]);
  });
  after(async () => {
    await mesh?.stop();
    identities?.stop();
    await app?.stop();
  });

  function configure(from: 'peer' | 'xfcc', more = ''): void {
    app.configure(
      `    - { name: peers, match: { paths: [/peers/] }, anonymous: true, peers: ["${CHECKOUT}"] }
${more}    - { name: bound, match: {}, bound: mtls, forward: { x-user: sub } }
`,
      `  client_certificate: ${from}\n`,
    );
  }

  const flags = (form: string) => ['--config', app.configFile, '--namespace', NAMESPACE, '--inbound', form];

  /** As a sidecar of the mesh calls; status 0 = no connection. `identity` undefined = TLS without a certificate. */
  function ask(
    path: string,
    identity: MeshIdentity | undefined,
    token?: string,
    headers: Record<string, string> = {},
  ): Promise<{ readonly status: number }> {
    const agent = new Agent({
      ...(identity && { cert: identity.certificate, key: identity.key }),
      ca: checkout.root,
      ALPNProtocols: ['istio', 'http/1.1'],
      checkServerIdentity: (_, { subjectaltname }) => {
        assert.equal(subjectaltname, `URI:${SERVER}`);
        return undefined;
      },
    });
    const sent = { ...headers, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) };
    return new Promise((resolve) => {
      request({ host: '127.0.0.1', port, path, agent, headers: sent }, (answer) => {
        answer.resume();
        answer.on('end', () => {
          agent.destroy();
          resolve({ status: answer.statusCode! });
        });
      })
        .on('error', () => resolve({ status: 0 }))
        .end();
    });
  }
  const plain = (path: string, token?: string, headers: Record<string, string> = {}) => {
    globalAgent.destroy();
    const sent = { ...headers, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) };
    return send(port, path, { headers: sent }).then(
      ({ status }) => status,
      () => 0,
    );
  };
  const status = async (...args: Parameters<typeof ask>) => (await ask(...args)).status;

  const TLS_ONLY = '    - { name: tls, match: { paths: [/tls/] }, anonymous: true, require_tls: true }\n';
  const FORMS = [
    { form: 'filter', from: 'peer' },
    { form: 'filter', from: 'xfcc' },
    { form: 'authorization-policy', from: 'xfcc' },
  ] as const;
  for (const { form, from } of FORMS) {
    test(`${form}, certificate by ${from}: a token is held to the certificate, a policy to the SPIFFE name`, async (t) => {
      // Istio's own filter does not tell TLS from plaintext, and the generator says so.
      configure(from, form === 'filter' ? TLS_ONLY : '');
      await app.startBearerd();
      await mesh.apply([peerAuthentication(NAMESPACE, 'STRICT')]);
      await mesh.replaceFilters([]);
      await mesh.until(async () => (await status('/x', checkout)) === 200, 'open before');
      await mesh.replaceFilters(await generateIstio(...flags(form)));
      await mesh.until(async () => (await status('/x', checkout)) === 401, 'enforced');
      await mesh.assertAccepted();

      const free = app.token();
      app.arrived.length = 0;
      assert.equal(await status('/x', checkout, bound), 200);
      assert.equal(app.arrived[0]!['x-user'], 'alice');
      assert.equal(await status('/x', other, bound), 401, 'a stolen token with another certificate');
      assert.equal(await status('/x', checkout, free), 401, 'an unbound token');
      assert.equal(await status('/peers/', checkout), 200);
      assert.equal(await status('/peers/', other), 403);
      const hash = createHash('sha256').update(new X509Certificate(checkout.certificate).raw).digest('hex');
      const forged = { 'x-forwarded-client-cert': `Hash=${hash};URI=${CHECKOUT}` };
      assert.equal(await status('/peers/', other, undefined, forged), 403, 'a forged header');
      assert.equal(await status('/x', other, bound, forged), 401, 'a forged header');
      assert.equal(await status('/x', undefined, bound), 0, 'no certificate');
      assert.equal(await plain('/x', bound), 0, 'no TLS');
      assert.equal(app.arrived.length, 2);

      // Plain text beside mTLS, as while a mesh is made STRICT: another filter chain of the same listener.
      await mesh.apply([peerAuthentication(NAMESPACE, 'PERMISSIVE')]);
      await mesh.until(async () => (await plain('/x')) === 401, 'plain text is let to the filters');
      await mesh.assertAccepted();
      assert.equal(await plain('/x', bound, forged), 401, 'a bound token without its certificate');
      assert.equal(await plain('/peers/', undefined, forged), 403);
      if (form === 'filter')
        assert.deepEqual([await plain('/tls/'), await status('/tls/', other)], [403, 200], 'require_tls');
      assert.equal(await status('/x', checkout, bound), 200);
      assert.equal(await status('/peers/', checkout), 200);
      assert.equal(await status('/peers/', other, undefined, forged), 403);

      app.arrived.length = 0;
      let wrong = 0;
      const bad = load(() => ask('/x', other, app.foreignToken({ jti: String(wrong++) })), 100, 4);
      const friends = load(() => ask('/x', checkout, bound), 10, 4);
      const refused = statuses(await bad);
      t.diagnostic(`flood: ${JSON.stringify(refused)}, callers: ${JSON.stringify(statuses(await friends))}`);
      assert.equal((refused[401] ?? 0) + (refused[429] ?? 0), 400);
      assert.deepEqual(statuses(await friends), { 200: 40 });
      assert.equal(app.arrived.length, 40);
    });
  }
});
