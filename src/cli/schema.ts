// bearerd schema: the JSON Schema of the configuration, for editors.
import { configJsonSchema } from '../config/schema.ts';
import { parseArguments } from './arguments.ts';
import { type Command, UsageError } from './command.ts';

export const schema: Command = {
  help: `Usage: bearerd schema

Prints the JSON Schema (draft 2020-12) of the configuration. With the YAML language server of an editor:
  bearerd schema > bearerd.schema.json
and, as first line of the configuration:
  # yaml-language-server: $schema=./bearerd.schema.json
`,
  async run(args, { out }) {
    if (parseArguments(args, []).positionals.length > 0) throw new UsageError('expected no arguments');
    out(`${JSON.stringify(configJsonSchema(), null, 2)}\n`);
    return 0;
  },
};
