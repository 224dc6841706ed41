// bearerd status: what a running bearerd says of itself, as tables.
import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfig } from '../config/load.ts';
import { ConfigError } from '../lib/errors.ts';
import { askAdmin, NO_ADMIN, unanswered } from './admin-socket.ts';
import { parseArguments, refusePositionals, required } from './arguments.ts';
import type { Command } from './command.ts';
import { configErrorText } from './config-errors.ts';
import { type ReportedStatus, statusText } from './status-text.ts';

const WATCH_MS = 1_000;

export const status: Command = {
  help: `Usage: bearerd status --config FILE [--watch] [--json]

Shows what needs somebody first, then sources with the time left and the next renewal, token endpoints with their breakers,
policies with what was decided, refusals of late, Envoys with the secrets they have, and the configuration in force, as the
running bearerd of this configuration tells them by its admin socket (listen.admin, GET /status).

Options:
  --watch   again every second, until it is interrupted; without a terminal one after the other
  --json    the answer of GET /status; with --watch a line each. Without an answer { "error": … }

Examples:
  bearerd status --config bearerd.yaml --watch
  bearerd status --config bearerd.yaml --json | jq .findings

Exit code 0 = ready and the configuration in force is the newest, 1 = not, or it cannot be asked.
`,
  async run(args, { out, err, ended, clear }) {
    const parsed = parseArguments(args, ['config'], ['watch', 'json']);
    refusePositionals(parsed);
    const watched = parsed.switches.has('watch');
    const json = parsed.switches.has('json');
    const redraw = watched && !json ? clear : undefined;
    const refuse = (why: string): 1 => {
      err(why);
      if (json) out(`${JSON.stringify({ error: why.trimEnd() })}\n`);
      return 1;
    };
    let path: string | undefined;
    try {
      path = (await loadConfig(required(parsed, 'config'))).listen.admin?.path;
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      return refuse(configErrorText(error));
    }
    if (path === undefined) return refuse(NO_ADMIN);
    let code: number;
    do {
      try {
        const said = await askAdmin<ReportedStatus>(path, '/status');
        if (said?.missing === undefined) throw new Error('what answers there is no bearerd');
        const isWell = said.missing.length === 0 && said.configuration.refused === undefined;
        const text = json ? `${JSON.stringify(said, null, watched ? 0 : 2)}\n` : statusText(said);
        redraw?.();
        out(watched && !json && redraw === undefined ? `${text}\n` : text);
        code = isWell ? 0 : 1;
      } catch (error) {
        redraw?.();
        code = refuse(unanswered(path, error));
      }
      if (watched) await sleep(WATCH_MS, undefined, { signal: ended }).catch(() => {});
    } while (watched && !ended.aborted);
    return code;
  },
};
