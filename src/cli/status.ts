// bearerd status: what a running bearerd says of itself, as tables.
import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfig } from '../config/load.ts';
import { unanswered } from './admin-socket.ts';
import { parseArguments, refusePositionals, required } from './arguments.ts';
import type { Command } from './command.ts';
import { type ReportedStatus, statusText } from './status-text.ts';

const WATCH_MS = 1_000;
/** Cursor home, clear below: the terminal does not flicker. */
const TOP = '\x1b[H\x1b[J';

export const status: Command = {
  help: `Usage: bearerd status --config FILE [--watch] [--json]

Shows what needs somebody first, then sources with the time left and the next renewal, token endpoints with their breakers,
policies with what was decided, refusals of late, Envoys with the secrets they have, and the configuration in force, as the
running bearerd of this configuration tells them by its admin socket (listen.admin, GET /status).

Options:
  --watch   again every second, until it is interrupted; without a terminal one after the other
  --json    the answer of GET /status as it is; with --watch a line each

Exit code 0 = ready and the configuration in force is the newest, 1 = not, or it cannot be asked.
`,
  async run(args, { out, err, ended, terminal }) {
    const parsed = parseArguments(args, ['config'], ['watch', 'json']);
    refusePositionals(parsed);
    const { listen } = await loadConfig(required(parsed, 'config'));
    if (listen.admin === undefined) {
      err('the configuration has no listen.admin, where a running bearerd is asked\n');
      return 1;
    }
    const { path } = listen.admin;
    const watched = parsed.switches.has('watch');
    const json = parsed.switches.has('json');
    const before = watched && terminal && !json ? TOP : '';
    const after = watched && before === '' && !json ? '\n' : '';
    let code = 1;
    do {
      try {
        const answer = await readStatus(path);
        const said = JSON.parse(answer) as ReportedStatus;
        if (json) out(watched ? `${JSON.stringify(said)}\n` : answer);
        else out(`${before}${statusText(said)}${after}`);
        code = said.missing.length === 0 && said.configuration.refused === undefined ? 0 : 1;
      } catch (error) {
        err(`${before}${unanswered(path, error)}`);
        code = 1;
      }
      if (watched) await sleep(WATCH_MS, undefined, { signal: ended }).catch(() => {});
    } while (watched && !ended.aborted);
    return code;
  },
};

function readStatus(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, path: '/status', timeout: 5_000 }, (incoming) =>
      text(incoming).then(resolve, reject),
    );
    outgoing.on('timeout', () => outgoing.destroy());
    outgoing.on('error', reject);
    outgoing.end();
  });
}
