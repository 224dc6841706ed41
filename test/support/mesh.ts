// A mesh with one namespace: a real Kubernetes API, a real istiod, and what bearerd generates applied as a person does it.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { parseAllDocuments } from 'yaml';
import { istioParts } from '../../tools/parts/istio.ts';
import { kubernetesParts } from '../../tools/parts/kubernetes.ts';
import { type Istio, startIstio } from './istio.ts';
import { type Kubernetes, startKubernetes } from './kubernetes.ts';
import { type MeshIdentity, requestIdentity } from './mesh-identity.ts';

const parts = { kubernetes: await kubernetesParts(), istio: await istioParts() };

/** Of a describe: false where all parts are there. */
export const skipMesh = parts.kubernetes && parts.istio ? false : 'npm run parts:kubernetes builds it';

export interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: Readonly<Record<string, unknown>>;
}

export interface Mesh {
  readonly cluster: Kubernetes;
  readonly istio: Istio;
  apply(documents: readonly object[]): Promise<void>;
  /** What was generated last (EnvoyFilters, AuthorizationPolicies) gives way to these. */
  replaceFilters(documents: readonly Manifest[]): Promise<void>;
  /** Every proxy has everything that was sent to it, and refused nothing. */
  assertAccepted(): Promise<void>;
  /** Polls until it holds, at most 30 s; fails with what istiod knows. */
  until(holds: () => Promise<boolean>, what: string): Promise<void>;
  /** Certificate and key of a service account of the namespace, signed by istiod. */
  identity(serviceAccount: string): Promise<MeshIdentity>;
  stop(): Promise<void>;
}

/** `bearerd generate istio FLAGS`, as text. */
export async function generateIstioText(...flags: readonly string[]): Promise<string> {
  const args = ['dist/main.js', 'generate', 'istio', ...flags];
  return (await promisify(execFile)(process.execPath, args)).stdout;
}

/** `bearerd generate istio FLAGS`. */
export async function generateIstio(...flags: readonly string[]): Promise<Manifest[]> {
  return parseAllDocuments(await generateIstioText(...flags)).map((document) => document.toJS() as Manifest);
}

/** What `bearerd generate istio FLAGS` prints for the mesh configuration, as it prints it. */
export async function extensionProviders(...flags: readonly string[]): Promise<string> {
  const lines = (await generateIstioText(...flags)).split('\n');
  const from = lines.findIndex((line) => line.includes('extensionProviders:'));
  const to = lines.findIndex((line) => line.includes('Until it is there'));
  return lines
    .slice(from, to)
    .map((line) => `${line.replace('#   ', '')}\n`)
    .join('');
}

/** A plain HTTP service outside the mesh, at these addresses, on this port; egress listeners here have one port only. */
export function serviceEntry(
  namespace: string,
  host: string,
  port: number,
  ...endpoints: readonly { readonly address: string; readonly port: number }[]
): object {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name: host.replaceAll('.', '-'), namespace },
    spec: {
      hosts: [host],
      location: 'MESH_EXTERNAL',
      resolution: 'STATIC',
      ports: [{ number: port, name: 'http', protocol: 'HTTP' }],
      endpoints: endpoints.map(({ address, port: http }) => ({ address, ports: { http } })),
    },
  };
}

/** Of a whole namespace. */
export function peerAuthentication(namespace: string, mode: 'STRICT' | 'PERMISSIVE' | 'DISABLE'): object {
  return {
    apiVersion: 'security.istio.io/v1',
    kind: 'PeerAuthentication',
    metadata: { name: 'default', namespace },
    spec: { mtls: { mode } },
  };
}

/** `mesh`: more lines of the mesh configuration. */
export async function startMesh(namespace: string, mesh = ''): Promise<Mesh> {
  const cluster = await startKubernetes(parts.kubernetes!);
  const istio = await startIstio(parts.istio!, cluster, mesh);
  await cluster.createNamespace(namespace);
  const GENERATED = 'envoyfilter,authorizationpolicy';

  async function apply(documents: readonly object[]): Promise<void> {
    if (documents.length === 0) return;
    await cluster.kubectl(['apply', '-f', '-'], documents.map((d) => JSON.stringify(d)).join('\n---\n'));
  }

  return {
    cluster,
    istio,
    apply,
    async replaceFilters(documents) {
      await apply(documents);
      const kept = documents.map(({ kind, metadata }) => `${kind.toLowerCase()}/${metadata.name}`);
      const there = (await cluster.kubectl(['get', GENERATED, '-n', namespace, '-o', 'name']))
        .split('\n')
        // envoyfilter.networking.istio.io/bearerd-check
        .filter((name) => name !== '' && !kept.includes(name.replace(/\.[^/]*/, '')));
      if (there.length > 0) await cluster.kubectl(['delete', '-n', namespace, ...there]);
    },
    async assertAccepted() {
      const sync = await istio.sync();
      const types = sync.map(({ type }) => type);
      for (const type of ['Cluster', 'Listener']) assert.ok(types.includes(type), `${types}`);
      assert.deepEqual(
        sync.filter(({ acked, error }) => !acked || error !== undefined),
        [],
      );
    },
    async until(holds, what) {
      for (const end = Date.now() + 30_000; !(await holds()); await sleep(200)) {
        if (Date.now() < end) continue;
        assert.fail(
          `${what}: ${JSON.stringify(await istio.sync())}\n${istio.process.output().slice(-4_000)}`,
        );
      }
    },
    async identity(serviceAccount) {
      const args = ['create', 'token', serviceAccount, '-n', namespace, '--audience', 'istio-ca'];
      const { data } = await cluster.get<{ data: Record<string, string> }>(
        ...['secret', 'istio-ca-secret', '-n', 'istio-system'],
      );
      return requestIdentity({
        port: istio.authorityPort,
        root: Buffer.from(data['ca-cert.pem']!, 'base64'),
        token: (await cluster.kubectl(args)).trim(),
      });
    },
    async stop() {
      await istio.stop();
      await cluster.stop();
    },
  };
}
