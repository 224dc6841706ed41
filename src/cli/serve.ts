// bearerd serve: runs until it is asked to end.
import { type App, createApp } from '../app/app.ts';
import type { LoadConfig } from '../app/revisions.ts';
import { configState } from '../config/config-texts.ts';
import { loadConfig } from '../config/load.ts';
import { systemClock } from '../lib/clock.ts';
import { ConfigError } from '../lib/errors.ts';
import { collectGarbage } from '../lib/garbage.ts';
import { watchState } from '../lib/watch.ts';
import { parseArguments, refusePositionals, required } from './arguments.ts';
import type { Command } from './command.ts';

/** The kubelet sets the variable in every container. Not in check-config, which a build in a cluster may run too. */
function developmentInCluster(file: string): ConfigError {
  const message =
    'development is refused inside a Kubernetes cluster (KUBERNETES_SERVICE_HOST is set): leave mode out, take secrets by { file } from a Secret and reach providers by https://';
  return new ConfigError(file, [{ path: 'mode', line: undefined, column: undefined, message }]);
}

/** A changed configuration is to be in force within a second. */
const LOOK_EVERY_MS = 250;

export const serve: Command = {
  help: `Usage: bearerd serve --config FILE

Runs the sidecar until SIGTERM or SIGINT; calls in flight are finished first. JSON log lines on standard output.

A changed FILE takes over as a whole within a second, with no request lost; one with problems is reported and leaves the
configuration before in force. SIGHUP reads it again at once.

Options:
  --config FILE   configuration, YAML or JSON (see "bearerd schema" and "bearerd check-config"); or a directory of such
                  files, merged in the order of their names

Example:
  bearerd serve --config bearerd.yaml

Exit code 0 = ended as asked, 1 = the configuration has problems or an address cannot be had.
`,
  async run(args, { env, version, runtime, out, err, ended, onReload }) {
    const parsed = parseArguments(args, ['config']);
    refusePositionals(parsed);
    const file = required(parsed, 'config');
    const load: LoadConfig = async (bundle) => {
      const loaded = await loadConfig(file, bundle);
      if (loaded.mode === 'development' && env['KUBERNETES_SERVICE_HOST']) throw developmentInCluster(file);
      return loaded;
    };
    let app: App | undefined;
    let changedEarly = false;
    const reload = (): void => {
      if (app === undefined) changedEarly = true;
      else void app.reload(load);
    };
    // Before it is read: a change between reading and watching would never be seen.
    const stopWatching = watchState(() => configState(file), systemClock, reload, LOOK_EVERY_MS);
    onReload(reload);
    const config = await load([]);
    try {
      const starting = await createApp(config, {
        clock: systemClock,
        env,
        random: Math.random,
        log: { write: out },
        version,
        runtime,
        load,
      });
      collectGarbage();
      await starting.start();
      app = starting;
    } catch (error) {
      stopWatching();
      err(`bearerd: cannot start: ${(error as Error).message}\n`);
      return 1;
    }
    if (changedEarly) reload();
    if (!ended.aborted)
      await new Promise((resolve) => ended.addEventListener('abort', resolve, { once: true }));
    stopWatching();
    await app.stop();
    return 0;
  },
};
