// bearerd generate kubernetes: manifests of the webhook, or of a namespace whose pods get the sidecar.
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { readConfigText, readConfigTexts } from '../config/config-texts.ts';
import { loadConfig } from '../config/load.ts';
import { parseSidecarFile } from '../config/sidecar-file.ts';
import { GenerateError } from '../doors/generate/problems.ts';
import { injectionTemplate } from '../kubernetes/injection-template.ts';
import { type MonitoringOptions, monitoringManifests } from '../kubernetes/monitoring-manifests.ts';
import { mountRefusals } from '../kubernetes/mounts.ts';
import { listenRefusals, portsAsked, portsListened } from '../kubernetes/ports.ts';
import { webhookManifests } from '../kubernetes/webhook-manifests.ts';
import { type WorkloadLabel, workloadManifests } from '../kubernetes/workload-manifests.ts';
import { toYaml } from '../lib/commented-yaml.ts';
import { type Arguments, oneOf, oneVerb, parseArguments, required } from './arguments.ts';
import { type Command, InputError, UsageError } from './command.ts';
import { readInput } from './input.ts';

interface Sidecar {
  readonly text: string;
  readonly options: ReturnType<typeof parseSidecarFile>;
}

interface Kind {
  readonly flags: readonly string[];
  readonly switches: readonly string[];
  text(sidecar: Sidecar, parsed: Arguments): Promise<string>;
}

const KINDS: Readonly<Record<string, Kind>> = {
  webhook: { flags: ['namespace', 'failure-policy', 'ca'], switches: ['monitoring'], text: webhook },
  workload: {
    flags: ['config', 'namespace', 'strict-mtls'],
    switches: ['network-policy', 'monitoring'],
    text: workload,
  },
  'injection-template': {
    flags: [],
    switches: [],
    text: async ({ options }) => injectionTemplate(options),
  },
};

export const generateKubernetesCommand: Command = {
  help: `Usage: bearerd generate kubernetes webhook --sidecar FILE [options]
       bearerd generate kubernetes workload --sidecar FILE --config FILE --namespace NAME [options]
       bearerd generate kubernetes injection-template --sidecar FILE

Writes manifests for kubectl apply: of the webhook that puts bearerd into pods (once a cluster), or of a namespace whose
pods get it. The namespace takes part by its label bearerd.io/injection=enabled.
injection-template writes values for Istio's chart instead, by which Istio's own injector does what the webhook does.
Ambient mode has no Envoy beside the pod and so no place for a sidecar: send the traffic through an egress gateway there.

Options:
  --sidecar FILE            how the sidecar is put into pods (see "bearerd webhook --help")
  --output FILE             default: standard output
of webhook and of workload:
  --monitoring              a PodMonitor and a PrometheusRule, where the Prometheus operator is: of webhook for the sidecars of
                            all namespaces, of workload for those of its own; with both each is scraped twice
of webhook:
  --namespace NAME          where it runs, default bearerd-system
  --failure-policy POLICY   Ignore (default): pods start without the sidecar while the webhook is away; Fail: none starts
  --ca FILE                 PEM of who signed the certificate in the Secret bearerd-webhook-certificate (tls.crt, tls.key),
                            which is yours to make; default: cert-manager makes and renews both
of workload:
  --config FILE             configuration of the sidecars, a file or a directory; checked first
  --namespace NAME          of the workloads
  --network-policy          a NetworkPolicy too, for a namespace that refuses all by default: names, and the ports
                            that the configuration listens on and asks at
  --strict-mtls LABELS      a PeerAuthentication each for these workloads, KEY=VALUE[,KEY=VALUE]: from then on who calls them
                            without a certificate of the mesh is refused; never written unless asked for

Examples:
  bearerd generate kubernetes webhook --sidecar sidecar.yaml | kubectl apply -f -
  bearerd generate kubernetes workload --sidecar sidecar.yaml --config bearerd.yaml --namespace shop

Exit code 0 = written, 1 = something cannot be served; each is named with the way out.
`,
  async run(args, { out, err }) {
    const what = oneVerb(args[0], Object.keys(KINDS));
    const { flags, switches, text: textOf } = KINDS[what]!;
    const parsed = parseArguments(args, ['sidecar', 'output', ...flags], switches);
    const [, ...rest] = parsed.positionals;
    if (rest.length > 0) throw new UsageError(`unexpected "${rest[0]}"`);
    const file = required(parsed, 'sidecar');
    const text = await readConfigText(file);
    let manifests: string;
    try {
      manifests = await textOf({ text, options: parseSidecarFile(text, file) }, parsed);
    } catch (error) {
      if (!(error instanceof GenerateError)) throw error;
      err(error.problems.map((problem) => `${problem}\n`).join(''));
      return 1;
    }
    const output = parsed.flags['output'];
    if (output === undefined) out(manifests);
    else await writeFile(output, manifests);
    return 0;
  },
};

async function webhook({ text, options }: Sidecar, { flags, switches }: Arguments): Promise<string> {
  const namespace = flags['namespace'] ?? 'bearerd-system';
  const manifests = webhookManifests({
    image: options.image,
    imagePullSecrets: options.imagePullSecrets,
    namespace,
    sidecar: text,
    sidecarHash: createHash('sha256').update(text).digest('hex'),
    caBundle: flags['ca'] === undefined ? undefined : await readAuthority(flags['ca']),
    failurePolicy: oneOf('failure-policy', flags['failure-policy'] ?? 'Ignore', ['Ignore', 'Fail']),
  });
  return documents([...manifests, ...monitoring(switches, { namespace, everywhere: true })]);
}

async function workload({ options }: Sidecar, parsed: Arguments): Promise<string> {
  const file = required(parsed, 'config');
  const loaded = await loadConfig(file);
  const refusals = [...listenRefusals(loaded, options), ...mountRefusals(loaded, options)];
  if (refusals.length > 0) throw new GenerateError(refusals);
  const texts = await readConfigTexts(file);
  const named = texts.map(({ file: one, text }) => [
    texts.length === 1 ? 'bearerd.yaml' : basename(one),
    text,
  ]);
  const namespace = required(parsed, 'namespace');
  return documents([
    ...workloadManifests({
      namespace,
      configMap: options.configMap,
      config: Object.fromEntries(named),
      networkPolicy: parsed.switches.has('network-policy')
        ? { listened: portsListened(loaded), asked: portsAsked(loaded) }
        : undefined,
      statusPort: options.statusPort,
      strictMtls: (parsed.flags['strict-mtls']?.split(',') ?? []).map(parseLabel),
    }),
    ...monitoring(parsed.switches, { namespace, everywhere: false }),
  ]);
}

function monitoring(switches: Arguments['switches'], options: MonitoringOptions): readonly object[] {
  return switches.has('monitoring') ? monitoringManifests(options) : [];
}

function documents(manifests: readonly object[]): string {
  return manifests.map((manifest) => toYaml(manifest)).join('---\n');
}

async function readAuthority(file: string): Promise<string> {
  const pem = await readInput(file);
  if (!pem.includes('-----BEGIN CERTIFICATE-----') || pem.includes('PRIVATE KEY'))
    throw new InputError(`${file}: expected certificates in PEM and no private key`);
  return Buffer.from(pem).toString('base64');
}

function parseLabel(text: string): WorkloadLabel {
  const [key, value, ...rest] = text.split('=');
  if (!key || !value || rest.length > 0)
    throw new UsageError(`--strict-mtls takes KEY=VALUE[,KEY=VALUE], got "${text}"`);
  return { key, value };
}
