// Services of a mesh with TLS of their own on a real istiod: a patch of bearerd takes no check of a certificate's name away where it is
// known, breaks neither the mesh's mTLS nor plain text, and the doctor sees where one was taken.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createPlain, type RequestListener } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createAuthority } from '../../demo/certificates.ts';
import { send } from '../../demo/world.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { readEnvoyState } from '../../src/doors/doctor/envoy-state.ts';
import { upstreams } from '../../src/doors/doctor/upstreams.ts';
import type { StartedEnvoy } from '../support/envoy.ts';
import { generateIstio, generateIstioText, type Mesh, skipMesh, startMesh } from '../support/mesh.ts';
import { type IdentityServer, startIdentityServer } from '../support/mesh-identity.ts';
import { freePort } from '../support/ports.ts';
import { type StartedProcess, startProcess } from '../support/process.ts';

const NAMESPACE = 'shop';
/**
 * good and other: TLS of their own, the second with the certificate of somebody else. mixed: mTLS, and one subset like other. auto: mTLS to
 * the one endpoint that is known to speak it.
 */
const SERVICES = ['good', 'other', 'mutual', 'mixed', 'auto', 'plain'] as const;
const nameOf = (service: string) => `${service}.${NAMESPACE}.svc.cluster.local`;

describe('names of certificates in a mesh with a real istiod', { skip: skipMesh }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-names-'));
  const config = join(folder, 'bearerd.yaml');
  const servers: (ReturnType<typeof createServer> | ReturnType<typeof createPlain>)[] = [];
  let bearerd: StartedProcess;
  let secrets: IdentityServer;
  let envoy: StartedEnvoy;
  let mesh: Mesh;
  let port: number;
  let ca: string;

  before(async () => {
    const authority = await createAuthority(folder);
    ca = authority.ca;
    writeFileSync(join(folder, 'key'), 'a-key');
    writeFileSync(
      config,
      `version: 1
listen: { check: "unix://${folder}/check.sock", xds: "unix://${folder}/xds.sock", health: "127.0.0.1:0" }
sources: { key: { static: { value: { file: ${folder}/key } } } }
outbound:
  - { name: plain, match: { services: [plain.shop] }, inject: { source: key }, allow_plaintext: true }
  - { name: encrypted, match: { services: [good.shop, other.shop, mutual.shop, mixed.shop, auto.shop] }, inject: { source: key } }
`,
    );
    bearerd = await startProcess(process.execPath, ['dist/main.js', 'serve', '--config', config]);
    await bearerd.waitForOutput(/"listener":"xds","state":"listening"/);
    mesh = await startMesh(NAMESPACE, 'enableAutoMtls: true\n');
    port = await freePort();
    const own = async (name: string) => {
      const { cert, key } = await authority.issue(name, 'server');
      return serve({ cert: readFileSync(cert), key: readFileSync(key) });
    };
    const { certificate, key, root } = await mesh.identity('default');
    const meshPort = await serve({ cert: certificate, key, ALPNProtocols: ['istio'] });
    const plain = await serve();
    const [good, somebody] = [await own(nameOf('good')), await own('somebody.example.org')];
    await mesh.apply([
      entry('good', endpoint(good)),
      entry('other', endpoint(somebody)),
      entry('mutual', endpoint(meshPort)),
      entry('mixed', endpoint(meshPort, { version: 'v2' }), endpoint(somebody, { version: 'v1' })),
      entry('auto', endpoint(meshPort, { 'security.istio.io/tlsMode': 'istio' }), endpoint(plain)),
      entry('plain', endpoint(plain)),
      ...['good', 'other'].map((service) => rule(service, simple())),
      rule('mutual', { mode: 'ISTIO_MUTUAL' }),
      rule('mixed', { mode: 'ISTIO_MUTUAL' }, [
        { name: 'v1', labels: { version: 'v1' }, trafficPolicy: { tls: simple() } },
        { name: 'v2', labels: { version: 'v2' } },
      ]),
      bySubset('mixed'),
    ]);
    secrets = await startIdentityServer({ certificate, key, root }, { [ca]: readFileSync(ca, 'utf8') });
    envoy = await mesh.istio.joinEnvoy(NAMESPACE, port, undefined, [secrets.cluster]);
  });
  after(async () => {
    await mesh?.stop();
    secrets?.stop();
    await bearerd?.stop();
    for (const server of servers) server.close().closeAllConnections();
    rmSync(folder, { recursive: true, force: true });
  });

  async function serve(tls?: object): Promise<number> {
    const answer: RequestListener = ({ headers }, response) => response.end(headers.authorization ?? 'none');
    const server = tls === undefined ? createPlain(answer) : createServer(tls, answer);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    servers.push(server);
    return (server.address() as AddressInfo).port;
  }

  const simple = () => ({ mode: 'SIMPLE', caCertificates: ca });

  const endpoint = (http: number, labels: object = {}) => ({ address: '127.0.0.1', ports: { http }, labels });

  function entry(service: string, ...endpoints: readonly object[]): object {
    return {
      apiVersion: 'networking.istio.io/v1',
      kind: 'ServiceEntry',
      metadata: { name: service, namespace: NAMESPACE },
      spec: {
        hosts: [nameOf(service)],
        location: 'MESH_INTERNAL',
        resolution: 'STATIC',
        ports: [{ number: port, name: 'http', protocol: 'HTTP' }],
        endpoints,
      },
    };
  }

  function rule(service: string, tls: object, subsets?: readonly object[]): object {
    return {
      apiVersion: 'networking.istio.io/v1',
      kind: 'DestinationRule',
      metadata: { name: service, namespace: NAMESPACE },
      spec: { host: nameOf(service), trafficPolicy: { tls }, subsets },
    };
  }

  function bySubset(service: string): object {
    const to = (subset: string) => [{ destination: { host: nameOf(service), subset } }];
    return {
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      metadata: { name: service, namespace: NAMESPACE },
      spec: {
        hosts: [nameOf(service)],
        http: [
          { match: [{ headers: { 'x-subset': { exact: 'v1' } } }], route: to('v1') },
          { route: to('v2') },
        ],
      },
    };
  }

  const flags = (...more: string[]) => [
    '--config',
    config,
    '--namespace',
    NAMESPACE,
    '--door',
    'push',
    ...more,
  ];

  /** What the upstream received, or the status of Envoy's own answer. */
  async function ask(service: string, subset = ''): Promise<string | number> {
    const headers = { connection: 'close', 'x-subset': subset };
    const { status, body } = await send(port, '/', { host: nameOf(service), headers });
    return status === 200 ? body : status;
  }

  const answers = async () =>
    Object.fromEntries([
      ...(await Promise.all(SERVICES.map(async (one) => [one, await ask(one).catch(() => 0)] as const))),
      ['mixed v1', await ask('mixed', 'v1').catch(() => 0)],
    ]);

  const becomes = async (expected: Record<string, unknown>, what: string) => {
    let last: unknown;
    await mesh
      .until(async () => {
        last = await answers();
        return JSON.stringify(last) === JSON.stringify(expected);
      }, what)
      .catch((error: Error) => assert.deepEqual(last, expected, error.message));
    await mesh.assertAccepted();
  };

  /** What the doctor says of it, its endpoints not being on this machine. */
  async function told(): Promise<string> {
    const dump = (await envoy.admin('/config_dump?include_eds')).replaceAll('127.0.0.1', '10.0.0.1');
    const state = readEnvoyState({}, JSON.parse(dump), {});
    return upstreams(parseConfig(readFileSync(config, 'utf8'), config), state)
      .map(({ severity, what, fix }) => `${severity} ${what} -> ${fix}\n`)
      .join('');
  }

  const KEY = 'Bearer a-key';
  const HELD = { good: KEY, other: 503, mutual: KEY, mixed: KEY, auto: KEY, plain: KEY, 'mixed v1': 503 };

  test('with a dump every cluster keeps what it had, of several subsets each its own', async () => {
    const none = Object.fromEntries(Object.entries(HELD).map(([k, v]) => [k, v === KEY ? 'none' : v]));
    await becomes(none, 'without bearerd');
    const dump = join(folder, 'dump.json');
    const own = await envoy.admin('/config_dump?include_eds');
    // Endpoints on this machine may be plain.
    writeFileSync(dump, own.replaceAll('127.0.0.1', '10.0.0.1'));
    await assert.rejects(generateIstio(...flags('--from-cluster', dump)), ({ stderr }) => {
      assert.match(stderr, /^host auto\.shop\S+ its cluster in --from-cluster has no TLS to endpoints .*\n$/);
      return true;
    });
    writeFileSync(dump, own);
    await mesh.replaceFilters(await generateIstio(...flags('--from-cluster', dump)));
    await becomes(HELD, 'with a dump');
    const errors = (await told()).split('\n').filter((line) => line.startsWith('error'));
    assert.match(
      errors[0] ?? '',
      /^error cluster \S+\|auto\.shop\S+: .* without TLS to 1 of its endpoints, 10\.0\.0\.1:/,
    );
    assert.equal(errors.length, 1, errors.join('\n'));
  });

  test('without one the first lines say it, the check is gone, and the doctor names each cluster with the field', async () => {
    const text = await generateIstioText(...flags());
    assert.match(text, /^# NO NAME CHECKED: .*/m);
    await mesh.replaceFilters(await generateIstio(...flags()));
    await becomes({ ...HELD, other: KEY, 'mixed v1': KEY }, 'without a dump');
    const found = await told();
    for (const [service, subset] of [
      ['good', ''],
      ['other', ''],
      ['mixed', 'v1'],
    ]) {
      const name = nameOf(service!).replaceAll('.', '\\.');
      assert.match(
        found,
        new RegExp(
          `^error cluster outbound\\|${port}\\|${subset}\\|${name}: .* checks no name -> trafficPolicy\\.tls\\.subjectAltNames: \\[${name}\\] of the DestinationRule for ${name}$`,
          'm',
        ),
      );
    }
  });

  test('a dump whose TLS checks no name is refused', async () => {
    const dump = join(folder, 'open.json');
    writeFileSync(dump, await envoy.admin('/config_dump'));
    await assert.rejects(generateIstio(...flags('--from-cluster', dump)), ({ stderr }) => {
      assert.match(stderr, /host other\.shop\.svc\.cluster\.local: .* checks no name of its certificate/);
      return true;
    });
  });

  test('a service whose TLS is stated is held to its name without a dump', async () => {
    const tls = join(folder, 'tls.yaml');
    writeFileSync(tls, ['good', 'other'].map((service) => `${nameOf(service)}: { ca: ${ca} }\n`).join(''));
    const generated = await generateIstio(...flags('--tls', tls));
    await mesh.cluster.kubectl(['delete', 'destinationrule', 'good', 'other', '-n', NAMESPACE]);
    await mesh.apply(generated.filter(({ kind }) => kind === 'DestinationRule'));
    await mesh.replaceFilters(generated.filter(({ kind }) => kind === 'EnvoyFilter'));
    await becomes({ ...HELD, 'mixed v1': KEY }, 'with stated TLS');
    assert.doesNotMatch(await told(), /(good|other)\.shop.* checks no name/);
  });
});
