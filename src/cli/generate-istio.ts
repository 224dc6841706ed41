// bearerd generate istio: Istio's side of a configuration.
import { writeFile } from 'node:fs/promises';
import { readMapping } from '../config/load.ts';
import { type ClusterOptions, readClusterDump } from '../doors/generate/istio/cluster-dump.ts';
import { generateIstio } from '../doors/generate/istio/istio.ts';
import type { OutsideTls } from '../doors/generate/istio/outside.ts';
import { GenerateError } from '../doors/generate/problems.ts';
import { oneOf, parseArguments, refusePositionals, required } from './arguments.ts';
import { BUNDLE_OPTION, loadBundledConfig } from './bundled-config.ts';
import { type Command, InputError, UsageError } from './command.ts';
import { readInput } from './input.ts';
import { STEPPED_BACK_OPTION, steppedBack } from './stepped-back.ts';
import { checkUpstreamTls } from './upstream-tls.ts';

export const generateIstioCommand: Command = {
  help: `Usage: bearerd generate istio --config FILE --namespace NAME [options]

Writes what a namespace needs for the policies of FILE, for kubectl apply: EnvoyFilters for outgoing and for incoming requests,
and for hosts outside the mesh a ServiceEntry and a DestinationRule by which the sidecar speaks TLS.

Ambient mode is out of reach: there is no Envoy beside the app. Send the traffic through an egress gateway and use
--context egress. An app that speaks https:// itself is opaque to Envoy; each host concerned is named at the top.

Options:
  --config FILE      configuration of bearerd
  --namespace NAME   of the workloads
  --door DOOR        best (default): each policy by the door that serves it best; or check, push, attempt, both
  --context CONTEXT  sidecar (default): what leaves the app and, with policies of inbound, what comes in; egress: what leaves
                     at an egress gateway; ingress: what comes in at an ingress gateway
  --inbound FORM     filter (default): an EnvoyFilter of our own; authorization-policy: Istio's CUSTOM action, with the
                     extensionProviders entry for the mesh configuration in the comment at the top
  --selector LABEL   only workloads with this label, KEY=VALUE; default: all of the namespace
  --retries HOW      patch (default): into Istio's routes; print: lines for the VirtualServices that you have
  --from-cluster DUMP
                     /config_dump?include_eds of a sidecar: what its clusters say of HTTP (a DestinationRule's idle timeout,
                     h2 upgrade, the check of a certificate's name) is kept, which a patch of Istio would replace
  --tls FILE         hosts outside the mesh with an authority or client certificate of their own, and services in it with TLS
                     of their own, YAML: HOST: { ca, cert, key, sni }, files as istio-proxy sees them
  --output FILE      default: standard output
${BUNDLE_OPTION}${STEPPED_BACK_OPTION}
Example:
  bearerd generate istio --config bearerd.yaml --namespace shop | kubectl apply -f -

Exit code 0 = written, 1 = something cannot be served; each is named with the way out.
`,
  async run(args, commandContext) {
    const { out, err } = commandContext;
    const parsed = parseArguments(
      args,
      [
        'config',
        'namespace',
        'door',
        'context',
        'selector',
        'retries',
        'from-cluster',
        'inbound',
        'tls',
        'output',
        'bundle',
      ],
      ['stepped-back'],
    );
    refusePositionals(parsed);
    const { flags } = parsed;
    const door = oneOf('door', flags['door'] ?? 'best', ['best', 'check', 'push', 'attempt', 'both']);
    const context = oneOf('context', flags['context'] ?? 'sidecar', ['sidecar', 'egress', 'ingress']);
    const inbound = oneOf('inbound', flags['inbound'] ?? 'filter', ['filter', 'authorization-policy']);
    const retries = oneOf('retries', flags['retries'] ?? 'patch', ['patch', 'print']);
    const file = required(parsed, 'config');
    const given = await loadBundledConfig(file, flags['bundle'], commandContext);
    const config = parsed.switches.has('stepped-back')
      ? await steppedBack(given, file, commandContext)
      : given;
    let text: string;
    try {
      text = generateIstio(config, {
        door,
        namespace: required(parsed, 'namespace'),
        context,
        inbound,
        tls: await readTls(flags['tls']),
        selector: parseSelector(flags['selector']),
        retries,
        clusterOptions: await readDump(flags['from-cluster']),
      });
    } catch (error) {
      if (!(error instanceof GenerateError)) throw error;
      err(error.problems.map((problem) => `${problem}\n`).join(''));
      return 1;
    }
    if (flags['output'] === undefined) out(text);
    else await writeFile(flags['output'], text);
    return 0;
  },
};

async function readTls(file: string | undefined): Promise<OutsideTls> {
  if (file === undefined) return {};
  const hosts = await readMapping(file, 'HOST: { ca }');
  for (const [host, tls] of Object.entries(hosts)) checkUpstreamTls(tls, `${file}: ${host}`);
  return hosts as unknown as OutsideTls;
}

async function readDump(file: string | undefined): Promise<ClusterOptions> {
  if (file === undefined) return new Map();
  const text = await readInput(file);
  try {
    return readClusterDump(JSON.parse(text));
  } catch {
    throw new InputError(`${file}: expected /config_dump of Envoy, JSON`);
  }
}

function parseSelector(text: string | undefined): Readonly<Record<string, string>> | undefined {
  if (text === undefined) return undefined;
  const at = text.indexOf('=');
  if (at < 1 || at === text.length - 1) throw new UsageError(`--selector takes KEY=VALUE, got "${text}"`);
  return { [text.slice(0, at)]: text.slice(at + 1) };
}
