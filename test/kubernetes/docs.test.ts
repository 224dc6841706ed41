// The commands of docs/kubernetes.md as they stand there, by a real kubectl against a real kube-apiserver. What the chart installs:
// chart.test.ts, since helm reads no version from this kube-apiserver.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { otherCrds } from '../../tools/parts/crds.ts';
import { istioParts } from '../../tools/parts/istio.ts';
import { kubernetesParts } from '../../tools/parts/kubernetes.ts';
import { blocksBelow } from '../support/doc-blocks.ts';
import { writeDocExample } from '../support/doc-example.ts';
import { runBlock } from '../support/doc-shell.ts';
import { type Kubernetes, startKubernetes } from '../support/kubernetes.ts';

const DOCUMENT = 'docs/kubernetes.md';
const SECTION = 'From nothing to enforced';
const parts = { kubernetes: await kubernetesParts(), istio: await istioParts() };
const skip = parts.kubernetes && parts.istio ? false : 'npm run parts:kubernetes builds the parts';
const [removing] = blocksBelow(DOCUMENT, 'Upgrade and removal');
const [applying] = blocksBelow(DOCUMENT, SECTION).filter(({ language }) => language === 'sh');

describe(DOCUMENT, { skip }, () => {
  let cluster: Kubernetes;
  before(async () => {
    cluster = await startKubernetes(parts.kubernetes!);
    // Without the Prometheus operator: not every cluster has one.
    const crds = (await otherCrds()).filter((file) => !file.includes('monitoring.coreos.com'));
    for (const file of [...crds, parts.istio!.crds]) {
      await cluster.kubectl(['apply', '--server-side', '-f', file]);
    }
    await cluster.createNamespace('shop');
    const labels = { app: 'checkout' };
    const template = {
      metadata: { labels },
      spec: { containers: [{ name: 'checkout', image: 'checkout:1' }] },
    };
    const deployment = {
      ...{ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'checkout', namespace: 'shop' } },
      spec: { selector: { matchLabels: labels }, template },
    };
    await cluster.kubectl(['create', '-f', '-'], JSON.stringify(deployment));
  });
  after(() => cluster?.stop());

  test('the commands are taken by the API, and leave a labelled namespace with restarted pods', async (t) => {
    const { folder } = await writeDocExample(t, DOCUMENT, SECTION, {
      '/run/bearerd': '/run/bearerd',
      '0.0.0.0:9193': '0.0.0.0:9193',
    });
    await writeFile(join(folder, 'checkout'), 'of the client\n');
    // No controller runs here: nobody rolls out, and nobody empties a namespace that is deleted.
    const kubectl = `case "$1 $2" in
"rollout status") set -- "$@" --watch=false ;;
"delete -f") set -- "$@" --wait=false ;;
esac
exec ${parts.kubernetes!.kubectl} --kubeconfig ${cluster.kubeconfig} "$@"`;
    const said = await runBlock(t, applying!, folder, { programs: { kubectl } });
    t.diagnostic(said.join('').replaceAll('\n', '; '));
    for (const object of ['mutatingwebhookconfiguration', 'configmap/bearerd', 'envoyfilter']) {
      assert.ok(
        said.some((text) => text.includes(object)),
        object,
      );
    }
    const { metadata } = await cluster.get<{ metadata: { labels: object } }>('namespace', 'shop');
    assert.equal((metadata.labels as Record<string, string>)['bearerd.io/injection'], 'enabled');
    assert.ok(said.some((text) => /deployment\.apps\/checkout restarted/.test(text)));
    const { data } = await cluster.get<{ data: object }>('secret', 'bearerd-keys', '-n', 'shop');
    assert.deepEqual(Object.keys(data), ['checkout']);

    const gone = await runBlock(t, removing!, folder, { programs: { kubectl } });
    t.diagnostic(gone.join('').replaceAll('\n', '; '));
    const left = ['envoyfilter', 'configmap', 'mutatingwebhookconfiguration'];
    const objects = await cluster.kubectl(['get', left.join(), '-A', '-o', 'name']);
    assert.doesNotMatch(objects, /bearerd/);
  });
});
