// The webhook, called by a real kube-apiserver: what comes back from `kubectl create` of a pod.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { parseAllDocuments } from 'yaml';
import { createAuthority } from '../../demo/certificates.ts';
import type { Container, Pod } from '../../src/kubernetes/pod.ts';
import { otherCrds } from '../../tools/parts/crds.ts';
import { builtHelm } from '../../tools/parts/helm.ts';
import { kubernetesParts } from '../../tools/parts/kubernetes.ts';
import { renderChart } from '../support/chart.ts';
import { type Kubernetes, startKubernetes } from '../support/kubernetes.ts';
import { freePort } from '../support/ports.ts';
import { type StartedProcess, startProcess } from '../support/process.ts';

const parts = await kubernetesParts();
const helm = await builtHelm();
const skip = parts && helm ? false : 'npm run parts:kubernetes builds it';
const NODE = process.execPath;
const run = promisify(execFile);

/** For a certificate that `authority` signed. */
async function manifests(sidecar: string, authority: string): Promise<string> {
  const what = ['generate', 'kubernetes', 'webhook', '--sidecar', sidecar];
  const how = ['--failure-policy', 'Fail', '--ca', authority, '--monitoring'];
  return (await run(NODE, ['dist/main.js', ...what, ...how])).stdout;
}

async function chart(_sidecar: string, authority: string): Promise<string> {
  const values = {
    ...{ image: 'bearerd:test', sidecar: { token_audience: 'idp' }, failurePolicy: 'Fail' },
    ...{ caBundle: readFileSync(authority).toString('base64'), podMonitor: true, prometheusRule: true },
  };
  return renderChart(helm!, values);
}

for (const [origin, manifestsFor] of Object.entries({ manifests, chart }))
  describe(`the webhook on a real kube-apiserver, from the ${origin}`, { skip }, () => {
    let cluster: Kubernetes;
    let webhook: StartedProcess;

    before(async () => {
      cluster = await startKubernetes(parts!);
      const authority = await createAuthority(cluster.folder, 'webhook authority');
      const files = await authority.issue('localhost', 'server');
      const sidecar = join(cluster.folder, 'sidecar.yaml');
      writeFileSync(sidecar, 'image: bearerd:test\ntoken_audience: idp\n');
      const port = await freePort();
      webhook = await startProcess(NODE, [
        ...['dist/main.js', 'webhook', '--sidecar', sidecar, '--listen', `127.0.0.1:${port}`],
        ...['--certificate', files.cert, '--private-key', files.key],
      ]);
      await webhook.waitForOutput(/webhook listening/);
      const stdout = await manifestsFor(sidecar, authority.ca);
      // Nothing resolves the name of a service here: the API server is told the address instead.
      const documents = parseAllDocuments(stdout).map((document) => document.toJS() as Record<string, never>);
      const configuration = documents.find(
        ({ kind }) => kind === 'MutatingWebhookConfiguration',
      ) as unknown as { webhooks: { clientConfig: object }[] };
      configuration.webhooks[0]!.clientConfig = {
        url: `https://localhost:${port}/inject`,
        caBundle: Buffer.from(readFileSync(authority.ca)).toString('base64'),
      };
      for (const file of await otherCrds()) await cluster.kubectl(['apply', '--server-side', '-f', file]);
      // The chart leaves its namespace to helm.
      await cluster.kubectl(['create', 'namespace', 'bearerd-system']);
      await cluster.kubectl(
        ['apply', '--validate=strict', '-f', '-'],
        documents.map((document) => JSON.stringify(document)).join('\n---\n'),
      );
      await cluster.createNamespace('shop', { 'bearerd.io/injection': 'enabled' });
      await cluster.createNamespace('other');
    });
    after(async () => {
      await webhook?.stop();
      await cluster?.stop();
    });

    const pod = (name: string, patch: Partial<Pod> = {}, namespace = 'shop'): Pod => ({
      apiVersion: 'v1',
      kind: 'Pod',
      spec: {
        containers: [
          { name: 'app', image: 'app:1' },
          { name: 'istio-proxy', image: 'proxy:1' },
        ],
      },
      ...patch,
      metadata: { name, namespace, ...patch.metadata },
    });
    async function create(given: Pod): Promise<Pod> {
      await cluster.kubectl(['create', '-f', '-'], JSON.stringify(given));
      return cluster.get<Pod>('pod', given.metadata!.name!, '-n', given.metadata!.namespace!);
    }
    const sidecars = ({ spec }: Pod): Container[] =>
      (spec?.initContainers ?? []).filter(({ name }) => name === 'bearerd');

    test('its own manifests are accepted as they are generated', async () => {
      const { spec } = await cluster.get<{ spec: { replicas: number } }>(
        'deployment',
        'bearerd-webhook',
        '-n',
        'bearerd-system',
      );
      assert.equal(spec.replicas, 2);
      for (const kind of ['podmonitor', 'prometheusrule'])
        await cluster.get(kind, 'bearerd', '-n', 'bearerd-system');
    });

    test('a pod of a labelled namespace comes back with the sidecar, accepted by the API server', async () => {
      const stored = await create(pod('plain'));
      assert.equal(sidecars(stored).length, 1);
      assert.equal(sidecars(stored)[0]!['restartPolicy'], 'Always');
      assert.ok(stored.metadata?.annotations?.['bearerd.io/status']);
      const proxy = stored.spec!.containers!.find(({ name }) => name === 'istio-proxy')!;
      assert.ok(proxy.volumeMounts!.some(({ name }) => name === 'bearerd-sockets'));
    });

    test('created again from what was stored, it has the sidecar once', async () => {
      const { spec, metadata } = await create(pod('first'));
      const again = await create(
        pod('second', { spec: spec!, metadata: { annotations: metadata!.annotations! } }),
      );
      assert.equal(sidecars(again).length, 1);
      assert.deepEqual(
        again.spec?.volumes?.map(({ name }) => name).filter((n) => n.startsWith('bearerd')),
        ['bearerd-sockets', 'bearerd-config', 'bearerd-token'],
      );
    });

    test('a pod that opts out, and one of another namespace, stay as they are', async () => {
      const opted = await create(
        pod('out', { metadata: { name: 'out', labels: { 'bearerd.io/inject': 'false' } } }),
      );
      assert.equal(sidecars(opted).length, 0);
      assert.equal(sidecars(await create(pod('elsewhere', {}, 'other'))).length, 0);
    });

    test('pods that it would break are created as they are', async () => {
      const app = { name: 'app', image: 'app:1' };
      const windows = await create(pod('windows', { spec: { os: { name: 'windows' }, containers: [app] } }));
      assert.equal(sidecars(windows).length, 0);
      const own = { ...app, name: 'bearerd' };
      const named = await create(pod('named', { spec: { initContainers: [own], containers: [app] } }));
      assert.deepEqual(
        sidecars(named).map(({ image }) => image),
        ['app:1'],
      );
    });

    test('who is created while it ends has the sidecar, too', async () => {
      webhook.child.kill('SIGTERM');
      await webhook.waitForOutput(/webhook draining/);
      assert.equal(sidecars(await create(pod('late'))).length, 1);
      assert.equal((await webhook.exited).code, 0);
    });
  });
