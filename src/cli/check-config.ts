// bearerd check-config FILE: every problem at once, nothing started.
import { loadConfig } from '../config/load.ts';
import { parseConfigTexts } from '../config/parse.ts';
import { unreached } from '../config/unreached.ts';
import { parseArguments } from './arguments.ts';
import { type Command, UsageError } from './command.ts';
import { readInput } from './input.ts';

const MAX_BYTES = 16 << 20;

export const checkConfig: Command = {
  help: `Usage: bearerd check-config FILE

Reads the configuration and reports every problem at once, each as FILE:LINE:COLUMN: path: what was expected.
A policy that no request reaches, since an earlier one matches all of its requests, is told on standard error and is no problem.
Secrets are not read and nothing is fetched. FILE may be a directory; "-" is standard input.

Examples:
  bearerd check-config bearerd.yaml
  yq '.data["bearerd.yaml"]' configmap.yaml | bearerd check-config -

Exit code 0 = no problem, 1 = problems.
`,
  async run(args, { out, err }) {
    // Also as every other verb has it.
    const { positionals, flags } = parseArguments(args, ['config']);
    const [file, ...rest] = flags['config'] === undefined ? positionals : [flags['config'], ...positionals];
    if (file === undefined || rest.length > 0) throw new UsageError('expected one FILE');
    const config =
      file === '-'
        ? parseConfigTexts([{ file, text: await readInput(file, MAX_BYTES) }], file)
        : await loadConfig(file);
    const { sources, outbound, inbound } = config;
    const incoming = inbound && `, ${counted(inbound.policies.length, 'inbound policy', 'inbound policies')}`;
    out(
      `${file}: ok, ${counted(sources.length, 'source')}, ${counted(outbound.length, 'policy', 'policies')}${incoming ?? ''}\n`,
    );
    for (const text of unreached(config)) err(`${file}: ${text}\n`);
    return 0;
  },
};

function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
