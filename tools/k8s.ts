// Writes k8s/ from src/kubernetes, the one source of truth: plain manifests, and the templates of the Helm chart as the same
// objects with values in their places.   node tools/k8s.ts [FOLDER]
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import manifest from '../package.json' with { type: 'json' };
import { because, toYaml } from '../src/lib/commented-yaml.ts';
import { NOTES, templates } from './chart/templates.ts';
import { valuesFile, valuesSchema } from './chart/values.ts';

const ROOT = join(process.argv[2] ?? '.', 'k8s');
const EXAMPLE = 'k8s/example';
const MADE = 'Made from src/kubernetes by "npm run k8s".';

async function write(path: string, text: string): Promise<void> {
  const target = join(ROOT, path);
  await mkdir(dirname(target), { recursive: true });
  await writeFile(target, text);
}

// Plain manifests: what the commands of docs/kubernetes.md print for the example.
async function generated(what: string, ...args: string[]): Promise<void> {
  const program = ['bin/bearerd.js', 'generate', 'kubernetes', what, '--sidecar', `${EXAMPLE}/sidecar.yaml`];
  const { stdout } = await promisify(execFile)(process.execPath, [...program, ...args]);
  await write(`manifests/${what}.yaml`, `# ${MADE}\n${stdout}`);
}
await generated('webhook');
await generated('workload', '--config', `${EXAMPLE}/bearerd.yaml`, '--namespace', 'shop');
await generated('injection-template');

const CHART = 'chart/bearerd';
for (const [kind, text] of templates()) {
  await write(`${CHART}/templates/${kind.toLowerCase()}.yaml`, `{{- /* ${MADE} */}}\n${text}`);
}
await write(`${CHART}/templates/NOTES.txt`, NOTES);
await write(`${CHART}/values.yaml`, valuesFile(manifest.version, MADE));
await write(`${CHART}/values.schema.json`, `${JSON.stringify(valuesSchema(manifest.version), null, 2)}\n`);
await write(
  `${CHART}/Chart.yaml`,
  toYaml(
    {
      apiVersion: 'v2',
      name: 'bearerd',
      description: 'The webhook that puts bearerd, the credential sidecar for Envoy and Istio, into pods',
      version: manifest.version,
      appVersion: manifest.version,
      kubeVersion: because('Native sidecars.', '>=1.29.0-0'),
    },
    MADE,
  ),
);
