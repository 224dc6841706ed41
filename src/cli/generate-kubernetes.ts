// bearerd generate kubernetes: manifests of the webhook, or of a namespace whose pods get the sidecar.
import { readFile, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { readConfigTexts } from '../config/config-texts.ts';
import { loadConfig } from '../config/load.ts';
import { loadSidecarFile } from '../config/sidecar-file.ts';
import { webhookManifests } from '../kubernetes/webhook-manifests.ts';
import { workloadManifests } from '../kubernetes/workload-manifests.ts';
import { toYaml } from '../lib/commented-yaml.ts';
import { oneOf, parseArguments, required } from './arguments.ts';
import { type Command, UsageError } from './command.ts';

export const generateKubernetesCommand: Command = {
  help: `Usage: bearerd generate kubernetes webhook --sidecar FILE [options]
       bearerd generate kubernetes workload --sidecar FILE --config FILE --namespace NAME

Writes manifests for kubectl apply: of the webhook that puts bearerd into pods (once a cluster), or of a namespace whose
pods get it (its ConfigMap, PodMonitor and PrometheusRule). The namespace takes part by its label bearerd.io/injection=enabled.
Ambient mode has no Envoy beside the pod and so no place for a sidecar: send the traffic through an egress gateway there.

Options:
  --sidecar FILE            how the sidecar is put into pods (see "bearerd webhook --help")
  --config FILE             configuration of the sidecars, a file or a directory; checked first
  --namespace NAME          webhook: where it runs, default bearerd-system; workload: the namespace
  --failure-policy POLICY   Ignore (default): pods start without the sidecar while the webhook is away; Fail: none starts
  --output FILE             default: standard output
`,
  async run(args, { out }) {
    const parsed = parseArguments(args, ['sidecar', 'config', 'namespace', 'failure-policy', 'output']);
    const [what, ...rest] = parsed.positionals;
    if (rest.length > 0) throw new UsageError(`unexpected "${rest[0]}"`);
    if (what !== 'webhook' && what !== 'workload') throw new UsageError('expected webhook or workload');
    const sidecarFile = required(parsed, 'sidecar');
    const sidecar = await loadSidecarFile(sidecarFile);
    let documents: readonly object[];
    if (what === 'webhook') {
      documents = webhookManifests({
        image: sidecar.image,
        namespace: parsed.flags['namespace'] ?? 'bearerd-system',
        sidecar: await readFile(sidecarFile, 'utf8'),
        failurePolicy: oneOf('failure-policy', parsed.flags['failure-policy'] ?? 'Ignore', [
          'Ignore',
          'Fail',
        ]),
      });
    } else {
      const file = required(parsed, 'config');
      await loadConfig(file);
      const texts = await readConfigTexts(file);
      const named = texts.map(({ file: one, text }) => [
        texts.length === 1 ? 'bearerd.yaml' : basename(one),
        text,
      ]);
      documents = workloadManifests({
        namespace: required(parsed, 'namespace'),
        configMap: sidecar.configMap,
        config: Object.fromEntries(named),
      });
    }
    const text = documents.map((document) => toYaml(document)).join('---\n');
    const output = parsed.flags['output'];
    if (output === undefined) out(text);
    else await writeFile(output, text);
    return 0;
  },
};
