// bearerd status: what a running bearerd says of itself, as tables.
import { request } from 'node:http';
import { json } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfig } from '../config/load.ts';
import { systemClock } from '../lib/clock.ts';
import { parseArguments, required } from './arguments.ts';
import { type Command, UsageError } from './command.ts';
import { type Status, statusText } from './status-text.ts';

const WATCH_MS = 1_000;
/** Cursor home, clear below: the terminal does not flicker. */
const TOP = '\x1b[H\x1b[J';

export const status: Command = {
  help: `Usage: bearerd status --config FILE [--watch]

Shows sources with the time left and the next renewal, token endpoints with their breakers, policies, and the configuration
in force, as the running bearerd of this configuration tells them by its admin socket (listen.admin, GET /status).

Options:
  --watch   again every second, until it is interrupted

Exit code 0 = ready and the configuration in force is the newest, 1 = not, or it cannot be asked.
`,
  async run(args, { out, err, ended }) {
    const parsed = parseArguments(args, ['config'], ['watch']);
    if (parsed.positionals.length > 0) throw new UsageError(`unexpected "${parsed.positionals[0]}"`);
    const { listen } = await loadConfig(required(parsed, 'config'));
    if (listen.admin === undefined) {
      err('the configuration has no listen.admin, where a running bearerd is asked\n');
      return 1;
    }
    const { path } = listen.admin;
    const watched = parsed.switches.has('watch');
    let code = 1;
    do {
      try {
        const said = await readStatus(path);
        out(`${watched ? TOP : ''}${statusText(said, systemClock.now())}`);
        code = said.missing.length === 0 && said.configuration.refused === undefined ? 0 : 1;
      } catch (error) {
        const reason = (error as NodeJS.ErrnoException).code ?? 'no answer';
        err(`${watched ? TOP : ''}${path} cannot be asked: ${reason}\n`);
        code = 1;
      }
      if (watched) await sleep(WATCH_MS, undefined, { signal: ended }).catch(() => {});
    } while (watched && !ended.aborted);
    return code;
  },
};

function readStatus(socketPath: string): Promise<Status> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, path: '/status' }, (incoming) =>
      json(incoming).then((value) => resolve(value as Status), reject),
    );
    outgoing.setTimeout(5_000, () => outgoing.destroy());
    outgoing.on('error', reject);
    outgoing.end();
  });
}
