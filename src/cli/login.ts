// bearerd login: a person logs in once, for a refresh_token source.
import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfig } from '../config/load.ts';
import { systemClock } from '../lib/clock.ts';
import { CredentialError } from '../lib/errors.ts';
import { nullObserver } from '../telemetry/observer.ts';
import { oneOf, parseArguments, refusePositionals, required } from './arguments.ts';
import { type Command, UsageError } from './command.ts';

export const login: Command = {
  help: `Usage: bearerd login --config FILE --source NAME [options]

Logs a person in for a source of type refresh_token and stores the refresh token, sealed, where FILE says. A bearerd that
serves may go on running: it takes the new token within two seconds. With store: { shared: true } it is stored in the Redis
of shared_cache, for every bearerd of the fleet. No token is shown.

Options:
  --config FILE         configuration of bearerd
  --source NAME         the source
  --flow FLOW           code (default): a browser on this machine, which comes back to a port of 127.0.0.1;
                        device: a browser anywhere, and a code to enter (e.g. in a pod, by kubectl exec)
  --redirect-port PORT  for providers that know only one redirect address, http://127.0.0.1:PORT/callback; default any

Examples:
  bearerd login --config bearerd.yaml --source calendar
  bearerd login --config bearerd.yaml --source calendar --flow device

Exit code 0 = stored, 1 = not.
`,
  async run(args, { env, out, err, ended }) {
    const parsed = parseArguments(args, ['config', 'source', 'flow', 'redirect-port']);
    refusePositionals(parsed);
    const name = required(parsed, 'source');
    const flow = oneOf('flow', parsed.flags['flow'] ?? 'code', ['code', 'device']);
    const redirectPort = parsePort(parsed.flags['redirect-port'] ?? '0');
    const config = await loadConfig(required(parsed, 'config'));
    const source = config.sources.find((candidate) => candidate.name === name);
    if (source?.type !== 'refresh_token') {
      const known = config.sources.filter(({ type }) => type === 'refresh_token').map((known) => known.name);
      throw new UsageError(
        `--source names a refresh_token source, got "${name}"; there ${known.length === 0 ? 'is none' : `are ${known.join(', ')}`}`,
      );
    }
    const { logIn } = await import('../source/login/login.ts');
    const deps = { clock: systemClock, env, observer: nullObserver };
    const shared =
      source.store.kind === 'shared'
        ? (await import('../shared-cache/shared-cache.ts')).createSharedCache(config.sharedCache!, {
            ...deps,
            random: Math.random,
          })
        : undefined;
    try {
      const { place, expiresAt } = await logIn(
        source,
        { ...deps, sharedRecord: shared?.record },
        {
          flow,
          redirectPort,
          say: out,
          wait: (ms, signal) => sleep(ms, undefined, { signal }),
          signal: ended,
        },
      );
      const until = expiresAt === undefined ? '' : `; it ends ${new Date(expiresAt).toISOString()}`;
      out(`Stored for the source ${name}: ${place}${until}\n`);
      return 0;
    } catch (error) {
      if (ended.aborted) err('bearerd login: ended before the login\n');
      else if (error instanceof CredentialError) err(`bearerd login: ${error.code}: ${error.message}\n`);
      else throw error;
      return 1;
    } finally {
      shared?.close();
    }
  },
};

function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port > 65_535)
    throw new UsageError(`--redirect-port takes a port, got "${text}"`);
  return port;
}
