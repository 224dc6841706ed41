// bearerd log-level: shows or changes what a running bearerd logs.
import { loadConfig } from '../config/load.ts';
import { type AdminAnswer, askAdmin, NO_ADMIN, unanswered } from './admin-socket.ts';
import { parseArguments, required } from './arguments.ts';
import { type Command, UsageError } from './command.ts';

interface Answer extends AdminAnswer {
  readonly level?: string;
}

export const logLevel: Command = {
  help: `Usage: bearerd log-level --config FILE [LEVEL]

Shows the level of the running bearerd of this configuration, or changes it to LEVEL (trace, debug, info, warn, error), by its
admin socket (listen.admin, POST /v1/log-level). It holds until another configuration takes over or the process ends. No level
ever shows a credential.

Examples:
  bearerd log-level --config bearerd.yaml
  bearerd log-level --config bearerd.yaml debug

Exit code 0 = done, 1 = it cannot be asked, or LEVEL is none.
`,
  async run(args, { out, err }) {
    const parsed = parseArguments(args, ['config']);
    const [level, ...rest] = parsed.positionals;
    if (rest.length > 0) throw new UsageError(`unexpected "${rest[0]}"`);
    const { listen } = await loadConfig(required(parsed, 'config'));
    if (listen.admin === undefined) {
      err(NO_ADMIN);
      return 1;
    }
    const { path } = listen.admin;
    try {
      const answer = await askAdmin<Answer>(path, '/v1/log-level', level === undefined ? {} : { level });
      if (answer.level === undefined) {
        err(`${answer.error ?? 'no answer'}\n`);
        return 1;
      }
      out(`${answer.level}\n`);
      return 0;
    } catch (error) {
      err(unanswered(path, error));
      return 1;
    }
  },
};
