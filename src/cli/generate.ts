// bearerd generate WHAT: the other sides of a configuration.
import { nearestWord } from '../lib/suggestion.ts';
import { type Command, UsageError } from './command.ts';
import { generateEnvoyCommand } from './generate-envoy.ts';
import { generateIstioCommand } from './generate-istio.ts';
import { generateKubernetesCommand } from './generate-kubernetes.ts';

const WHAT: Readonly<Record<string, Command>> = {
  envoy: generateEnvoyCommand,
  istio: generateIstioCommand,
  kubernetes: generateKubernetesCommand,
};

export const generate: Command = {
  help: Object.values(WHAT)
    .map(({ help }) => help)
    .join('\n'),
  async run(args, context) {
    const [what, ...rest] = args;
    if (what === undefined || !Object.hasOwn(WHAT, what)) {
      const near = what === undefined ? undefined : nearestWord(what, Object.keys(WHAT));
      const known = Object.keys(WHAT).join(', ');
      throw new UsageError(`generate writes one of ${known}${near ? `; did you mean ${near}?` : ''}`);
    }
    return WHAT[what]!.run(rest, context);
  },
};
