// bearerd generate WHAT: the other sides of a configuration.
import { oneVerb } from './arguments.ts';
import type { Command } from './command.ts';
import { generateEnvoyCommand } from './generate-envoy.ts';
import { generateIstioCommand } from './generate-istio.ts';
import { generateKubernetesCommand } from './generate-kubernetes.ts';

const WHAT: Readonly<Record<string, Command>> = {
  envoy: generateEnvoyCommand,
  istio: generateIstioCommand,
  kubernetes: generateKubernetesCommand,
};

export const generate: Command = {
  verbs: WHAT,
  help: `Usage: bearerd generate envoy|istio|kubernetes [options]

  envoy        Envoy's side: a whole bootstrap to try, or the pieces to put into yours
  istio        Istio's side: EnvoyFilters, ServiceEntries, DestinationRules
  kubernetes   manifests: the webhook that puts bearerd into pods, and what a namespace needs

"bearerd generate envoy --help" has the options of each.
`,
  async run([what]) {
    oneVerb(what, Object.keys(WHAT));
    return 2;
  },
};
