// The command line: finds the verb, prints help, turns errors into messages and exit codes.
import { ConfigError } from '../lib/errors.ts';
import { escaped } from '../lib/printable.ts';
import { nearestWord } from '../lib/suggestion.ts';
import { type Command, type CommandContext, InputError, UsageError } from './command.ts';

// Loaded when asked for: `serve` should not pay memory for the other verbs, nor they for it.
const VERBS: Readonly<Record<string, () => Promise<Command>>> = {
  serve: async () => (await import('./serve.ts')).serve,
  status: async () => (await import('./status.ts')).status,
  'log-level': async () => (await import('./log-level.ts')).logLevel,
  login: async () => (await import('./login.ts')).login,
  'check-config': async () => (await import('./check-config.ts')).checkConfig,
  schema: async () => (await import('./schema.ts')).schema,
  explain: async () => (await import('./explain.ts')).explain,
  webhook: async () => (await import('./webhook.ts')).webhook,
  import: async () => (await import('./import.ts')).importCommand,
  doctor: async () => (await import('./doctor.ts')).doctor,
  simulate: async () => (await import('./simulate.ts')).simulate,
  test: async () => (await import('./test-cases.ts')).testCases,
  bundle: async () => (await import('./bundle.ts')).bundle,
  audit: async () => (await import('./audit.ts')).audit,
  keys: async () => (await import('./keys.ts')).keys,
  verify: async () => (await import('./verify.ts')).verify,
  inspect: async () => (await import('./inspect.ts')).inspect,
  revoke: async () => (await import('./revoke.ts')).revoke,
  generate: async () => (await import('./generate.ts')).generate,
};

const HELP = `bearerd puts the right credential on requests that leave through Envoy.

Usage: bearerd VERB [options]

  serve --config FILE                              run the sidecar
  status --config FILE                             show what a running bearerd has: sources, endpoints, policies
  log-level --config FILE [LEVEL]                  show or change what a running bearerd logs
  login --config FILE --source NAME                log a person in, for a refresh_token source
  check-config FILE                                report every problem of a configuration, start nothing
  schema                                           print the JSON Schema of the configuration, for editors
  explain --config FILE METHOD URL                 tell what happens to a request: policy, source, door, headers
  generate envoy --config FILE --door DOOR         write Envoy's side: check, push, attempt or best; inbound
  generate istio --config FILE --namespace NAME    write Istio's side: EnvoyFilters, ServiceEntries, DestinationRules
  generate kubernetes webhook|workload …           write manifests for Kubernetes
  webhook --sidecar FILE --certificate FILE …      put the sidecar into pods of Kubernetes
  import FILE                                      from Envoy's credential_injector to a configuration of bearerd
  doctor --config FILE [--envoy URL]               tell what is wrong between Envoy, bearerd and a configuration
  simulate --policy NEW --log ACCESS_LOG           tell what a new policy would change for the requests of a log
  test CASES --config FILE                         hold a configuration against your expectations, for your CI
  bundle sign PATH --key KEYFILE --name NAME …     sign policies for a fleet (policy_bundle); also bundle verify
  audit verify FILE --key KEYFILE                  tell whether an audit trail is whole
  keys list|activate|suspend|revoke FILE [ID]      API keys of a ring file
  verify --config FILE TOKEN...                    ask a running bearerd whether tokens would be let in
  inspect TOKEN                                    show what a token says and what would be refused, offline
  revoke --config FILE --jti ID|--sub SUBJECT …    refuse tokens before their end

  VERB --help      the options of a verb, with examples
  --version        the version

Exit code 0 = done, 1 = the answer is no, or a file or a server cannot be used, 2 = wrong command line. What is wrong is told on
standard error. Nothing is coloured.
`;

/** Exit code: 0 = done, 1 = the answer is no, 2 = wrong command line. */
export function runCommandLine(args: readonly string[], context: CommandContext): Promise<number> {
  return runVerb(args, {
    ...context,
    // Log lines, too: names in them come from the network.
    out: (text, written) => context.out(escaped(text), written),
    err: (text) => context.err(escaped(text)),
  });
}

async function runVerb(args: readonly string[], context: CommandContext): Promise<number> {
  const [verb, ...rest] = args;
  if (verb === '--version' || verb === '-v') {
    context.out(`${context.version}\n`);
    return 0;
  }
  if (verb === 'help' && rest.length > 0) return runVerb([...rest, '--help'], context);
  if (verb === '--help' || verb === '-h' || verb === 'help') {
    context.out(HELP);
    return 0;
  }
  if (verb === undefined) {
    context.err(HELP);
    return 2;
  }
  if (!Object.hasOwn(VERBS, verb)) {
    const near = nearestWord(verb, [...Object.keys(VERBS), '--help', '--version']);
    const what = verb.startsWith('-') ? 'option' : 'verb';
    context.err(
      `bearerd: unknown ${what} "${verb}"${near ? `; did you mean ${near}?` : ''}\n\n"bearerd --help" has the verbs.\n`,
    );
    return 2;
  }
  const whole = await VERBS[verb]!();
  const part = Object.hasOwn(whole.verbs ?? {}, rest[0] ?? '') ? whole.verbs![rest[0]!] : undefined;
  const command = part ?? whole;
  const name = part === undefined ? verb : `${verb} ${rest.shift()}`;
  if (rest.includes('--help') || rest.includes('-h')) {
    context.out(command.help);
    return 0;
  }
  try {
    return await command.run(rest, context);
  } catch (error) {
    if (error instanceof UsageError) {
      const [usage] = command.help.split('\n\n');
      context.err(
        `bearerd ${name}: ${error.message}\n\n${usage}\n\n"bearerd ${name} --help" has the options.\n`,
      );
      return 2;
    }
    if (error instanceof ConfigError) {
      const { configErrorText } = await import('./config-errors.ts');
      context.err(configErrorText(error));
      return 1;
    }
    // Of a file that is written: its message has the path, and nothing of what is in it.
    if (!(error instanceof InputError || (error instanceof Error && 'syscall' in error))) throw error;
    context.err(`bearerd ${name}: ${error.message}\n`);
    return 1;
  }
}
