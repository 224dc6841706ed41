// bearerd verify: a running bearerd says of each token whether it would be let in.
import { loadConfig } from '../config/load.ts';
import { type AdminAnswer, askAdmin, NO_ADMIN, unanswered } from './admin-socket.ts';
import { parseArguments, required } from './arguments.ts';
import { type Command, UsageError } from './command.ts';
import { readInput } from './input.ts';

interface Answer extends AdminAnswer {
  readonly results?: readonly { readonly valid: boolean }[];
}

export const verify: Command = {
  help: `Usage: bearerd verify --config FILE [--policy NAME] TOKEN...
       bearerd verify --config FILE [--policy NAME] -      tokens from standard input, one a line

Asks the running bearerd of this configuration by its admin socket (listen.admin, POST /v1/verify): signature, times,
revocation and, with --policy, the rules of that inbound policy. One line of JSON a token; tokens are never shown.

Example:
  bearerd verify --config bearerd.yaml --policy api - < tokens

Exit code 0 = every one is valid, 1 = at least one is not.
`,
  async run(args, { out, err }) {
    const parsed = parseArguments(args, ['config', 'policy']);
    const { positionals } = parsed;
    if (positionals.length === 0) throw new UsageError('expected TOKEN..., or - for standard input');
    const fromStdin = positionals.length === 1 && positionals[0] === '-';
    const tokens = fromStdin ? (await readInput('-')).split('\n') : positionals;
    const given = tokens
      .map((token) => token.trim().replace(/^Bearer /i, ''))
      .filter((token) => token !== '');
    if (given.length === 0) throw new UsageError('there is no token on standard input');
    const { listen } = await loadConfig(required(parsed, 'config'));
    if (listen.admin === undefined) {
      err(NO_ADMIN);
      return 1;
    }
    const question = {
      tokens: given,
      ...(parsed.flags['policy'] === undefined ? {} : { policy: parsed.flags['policy'] }),
    };
    let answer: Answer;
    try {
      answer = await askAdmin<Answer>(listen.admin.path, '/v1/verify', question);
    } catch (error) {
      err(unanswered(listen.admin.path, error));
      return 1;
    }
    if (answer.results === undefined) {
      err(`${answer.error ?? 'no answer'}\n`);
      return 1;
    }
    for (const result of answer.results) out(`${JSON.stringify(result)}\n`);
    return answer.results.every(({ valid }) => valid) ? 0 : 1;
  },
};
