// The example of docs/kubernetes.md: its files are accepted, and its commands write what the text says.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { parseAllDocuments } from 'yaml';
import { blocksBelow } from '../../support/doc-blocks.ts';
import { writeDocExample } from '../../support/doc-example.ts';

const DOCUMENT = 'docs/kubernetes.md';
const SECTION = 'From nothing to enforced';

// Seen on a real istiod and Envoy: without bearerd every request of a policy is answered 503, through every door, in shadow too.
test('Envoy is told to ask bearerd after the pods have it, and no more before they lose it', () => {
  const lines = (section: string) =>
    blocksBelow(DOCUMENT, section)
      .find(({ language }) => language === 'sh')!
      .text.split('\n');
  const at = (list: readonly string[], pattern: RegExp) => list.findIndex((line) => pattern.test(line));
  const up = lines(SECTION);
  assert.ok(at(up, /rollout status deployment\/bearerd-webhook/) < at(up, /rollout restart/));
  assert.ok(at(up, /rollout restart/) < at(up, /rollout status deployment -n shop/));
  assert.ok(at(up, /rollout status deployment -n shop/) < at(up, /generate istio/));
  const down = lines('Upgrade and removal');
  assert.ok(at(down, /generate istio .* kubectl delete/) < at(down, /rollout restart/));
  assert.ok(at(down, /rollout status/) < at(down, /generate kubernetes workload .* kubectl delete/));
});

test('the table of objects names every EnvoyFilter that is generated', () => {
  const sources = globSync('src/doors/generate/istio/*.ts').map((file) => readFileSync(file, 'utf8'));
  const generated = new Set(sources.flatMap((text) => text.match(/(?<=')bearerd-[a-z-]+(?=')/g) ?? []));
  const told = [...readFileSync(DOCUMENT, 'utf8').matchAll(/^\| `(bearerd-[a-z-]+)` \|/gm)].map(
    ([, name]) => name,
  );
  assert.deepEqual(told.sort(), [...generated].sort());
});

test('the commands of "From nothing to enforced" write manifests', async (t) => {
  const { folder } = await writeDocExample(t, DOCUMENT, SECTION, {
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
