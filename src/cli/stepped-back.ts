// The configuration with what the guard has put in force in its place, as `state_dir` keeps it: for a manifest that push needs.
import { existsSync } from 'node:fs';
import { readGuardState } from '../app/guard/state.ts';
import type { Config } from '../config/config.ts';
import { ConfigError } from '../lib/errors.ts';
import { arrange, nextStates } from '../policy/guard/versions.ts';
import type { CommandContext } from './command.ts';

/** For the help of each. */
export const STEPPED_BACK_OPTION = `  --stepped-back     of the versions that the guard of the bearerd with this state_dir stepped back to, where it did; apply it
                     until these policies are changed
`;

/** Throws ConfigError where nothing is known of the guard. */
export async function steppedBack(
  config: Config,
  file: string,
  { err }: Pick<CommandContext, 'err'>,
): Promise<Config> {
  const { stateDir } = config;
  const refuse = (message: string) =>
    new ConfigError(file, [{ path: 'state_dir', line: undefined, column: undefined, message }]);
  if (stateDir === undefined || !existsSync(stateDir))
    throw refuse('expected the folder of a running bearerd: only there is written what its guard did');
  const states = await readGuardState(stateDir).catch((error: Error) => {
    throw refuse(error.message);
  });
  const now = nextStates(states, config);
  const changed = [...now].filter(([, { alarm }]) => alarm === 'stepped_back' || alarm === 'withdrawn');
  for (const [policy, { alarm }] of changed) err(`policy ${policy}: ${alarm!.replace('_', ' ')}\n`);
  if (changed.length === 0) err('the guard stepped back from nothing: this is the configuration as it is\n');
  return arrange(config, now).config;
}
