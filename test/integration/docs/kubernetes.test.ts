// The example of docs/kubernetes.md: its files are accepted, and its commands write what the text says.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { parseAllDocuments } from 'yaml';
import { writeDocExample } from '../../support/doc-example.ts';

const DOCUMENT = 'docs/kubernetes.md';

test('the commands of "From nothing to enforced" write manifests', async (t) => {
  const { folder } = await writeDocExample(t, DOCUMENT, 'From nothing to enforced', {
    '/run/bearerd': '/run/bearerd',
    '0.0.0.0:9193': '0.0.0.0:9193',
  });
  const commands = [...readFileSync(DOCUMENT, 'utf8').matchAll(/^bearerd (generate .*?) \| kubectl apply/gm)];
  assert.equal(commands.length, 3);
  const kinds: string[] = [];
  for (const [, command] of commands) {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [`${process.cwd()}/dist/main.js`, ...command!.split(' ')],
      { cwd: folder },
    );
    kinds.push(...parseAllDocuments(stdout).map((document) => (document.toJS() as { kind: string }).kind));
  }
  for (const kind of ['MutatingWebhookConfiguration', 'PodDisruptionBudget', 'ConfigMap', 'EnvoyFilter']) {
    assert.ok(kinds.includes(kind), `${kind} in ${kinds}`);
  }
  assert.ok(!kinds.includes('PodMonitor'), 'a cluster without the Prometheus operator does not know it');
});

for (const [what, ...args] of [
  ['webhook'],
  ['workload', '--config', 'k8s/example/bearerd.yaml', '--namespace', 'shop'],
]) {
  test(`generate kubernetes ${what} writes what the Prometheus operator reads where it is asked for`, async () => {
    const program = [
      'dist/main.js',
      'generate',
      'kubernetes',
      what!,
      '--sidecar',
      'k8s/example/sidecar.yaml',
    ];
    const written = async (...more: string[]) =>
      (await promisify(execFile)(process.execPath, [...program, ...args, ...more])).stdout.match(
        /^apiVersion: monitoring\.coreos\.com\/v1\nkind: \w+/gm,
      )?.length ?? 0;
    assert.equal(await written(), 0);
    assert.equal(await written('--monitoring'), 2);
  });
}
