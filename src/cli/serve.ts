// bearerd serve: runs until it is asked to end.
import { type App, createApp } from '../app.ts';
import { loadConfig } from '../config/load.ts';
import { systemClock } from '../lib/clock.ts';
import { parseArguments, required } from './arguments.ts';
import { type Command, UsageError } from './command.ts';

export const serve: Command = {
  help: `Usage: bearerd serve --config FILE

Runs the sidecar until SIGTERM or SIGINT; calls in flight are finished first. JSON log lines on standard output.

Options:
  --config FILE   configuration, YAML or JSON (see "bearerd schema" and "bearerd check-config")

Exit code 0 = ended as asked, 1 = the configuration has problems or an address cannot be had.
`,
  async run(args, { env, version, runtime, out, err, ended }) {
    const parsed = parseArguments(args, ['config']);
    if (parsed.positionals.length > 0) throw new UsageError(`unexpected "${parsed.positionals[0]}"`);
    const config = await loadConfig(required(parsed, 'config'));
    let app: App;
    try {
      app = await createApp(config, {
        clock: systemClock,
        env,
        random: Math.random,
        log: { write: out },
        version,
        runtime,
      });
      await app.start();
    } catch (error) {
      err(`bearerd: cannot start: ${(error as Error).message}\n`);
      return 1;
    }
    if (!ended.aborted)
      await new Promise((resolve) => ended.addEventListener('abort', resolve, { once: true }));
    await app.stop();
    return 0;
  },
};
