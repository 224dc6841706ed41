// bearerd schema: the JSON Schema of the configuration, for editors.
import { configJsonSchema } from '../config/schema.ts';
import { parseArguments } from './arguments.ts';
import { type Command, UsageError } from './command.ts';

export const schema: Command = {
  help: `Usage: bearerd schema

Prints the JSON Schema (draft 2020-12) of the configuration, for the YAML language server of an editor. First line of the
configuration then: # yaml-language-server: $schema=./bearerd.schema.json

Example:
  bearerd schema > bearerd.schema.json

Exit code 0 = written, 1 = it could not be.
`,
  async run(args, { out }) {
    if (parseArguments(args, []).positionals.length > 0) throw new UsageError('expected no arguments');
    out(`${JSON.stringify(configJsonSchema(), null, 2)}\n`);
    return 0;
  },
};
