// bearerd import: from Envoy's own credential_injector to a configuration of bearerd.
import { writeFile } from 'node:fs/promises';
import { parseHostPattern } from '../config/host-pattern.ts';
import { parseExtraParamName, parseProviderUrl, parseResource, parseScope } from '../config/oauth-values.ts';
import { inject } from '../config/schema-inject.ts';
import { secretRef } from '../config/source/secret-ref.ts';
import { bearerdFile } from '../doors/import/bearerd-file.ts';
import { findInjectors } from '../doors/import/credential-injector.ts';
import { otherCredentials } from '../doors/import/others.ts';
import { protoJson } from '../doors/import/proto-json.ts';
import { printable } from '../lib/printable.ts';
import { parseArguments } from './arguments.ts';
import { type Command, UsageError } from './command.ts';
import { envoyDocuments } from './envoy-documents.ts';
import { readInput } from './input.ts';

export const importCommand: Command = {
  help: `Usage: bearerd import FILE [--output FILE]

Reads Envoy's credential_injector (client credentials and static values) out of FILE (a bootstrap, a piece of one, EnvoyFilters,
or /config_dump, YAML or JSON, also in a ConfigMap) and writes the configuration of bearerd that does the same. What is done
otherwise, or could not be told, stands there as a comment; a policy that would inject where Envoy did not has mode: shadow.
FILE "-" is standard input.

Options:
  --output FILE   default: standard output

Examples:
  bearerd import envoy.yaml --output bearerd.yaml
  curl -s localhost:9901/config_dump | bearerd import -
  kubectl get configmap envoy --output yaml | bearerd import -

Exit code 0 = written, 1 = there is no credential_injector in FILE.
`,
  async run(args, { out, err }) {
    const parsed = parseArguments(args, ['output']);
    const [file, ...rest] = parsed.positionals;
    if (file === undefined || rest.length > 0) throw new UsageError('expected one file');
    const configuration = protoJson(envoyDocuments(await readInput(file), file));
    const injectors = findInjectors(configuration);
    const others = otherCredentials(configuration);
    if (injectors.length === 0) {
      err(`bearerd import: ${file} has no credential_injector\n`);
      for (const other of others) err(`not carried over: ${printable(other)}\n`);
      return 1;
    }
    const written = bearerdFile(injectors, others, {
      host: (pattern) => isTaken(() => parseHostPattern(pattern)),
      endpoint: (uri) => isTaken(() => parseProviderUrl(uri, 'token_endpoint')),
      secret: (reference) => secretRef.safeParse(reference).success,
      inject: (header) => inject.safeParse({ source: 'any', ...header }).success,
      extraParam: (name) => isTaken(() => parseExtraParamName(name)),
      scope: (scope) => isTaken(() => parseScope([scope])),
      resource: (uri) => isTaken(() => parseResource(uri)),
    });
    const output = parsed.flags['output'];
    if (output === undefined) out(written);
    else await writeFile(output, written);
    return 0;
  },
};

function isTaken(parse: () => unknown): boolean {
  try {
    parse();
    return true;
  } catch {
    return false;
  }
}
