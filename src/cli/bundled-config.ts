// The configuration as a process would have it in force: local files and, where they name a policy bundle, what it says. For
// verbs whose answer would be another one without it.
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { fetchBundle, keptBundle, verifyPinned } from '../bundle/pinned-bundle.ts';
import { BundleFault, timeProblem } from '../bundle/signed-bundle.ts';
import type { Config, PolicyBundleConfig } from '../config/config.ts';
import { type ConfigText, readConfigTexts, textsOfBundle } from '../config/config-texts.ts';
import { loadConfig } from '../config/load.ts';
import { systemClock } from '../lib/clock.ts';
import { ConfigError } from '../lib/errors.ts';
import { type CommandContext, UsageError } from './command.ts';

/** For the help of each. */
export const BUNDLE_OPTION = `  --bundle BUNDLE    of a configuration with policy_bundle: a signed bundle, or the file or directory that is to be signed; or
                     none, for the local files alone. Default: the one that the process keeps in state_dir, else the one
                     that its server has. Which one it was is told on standard error
`;

/** `bundle`: value of --bundle. Throws ConfigError, also when the bundle cannot be had or would not be taken over. */
export async function loadBundledConfig(
  path: string,
  bundle: string | undefined,
  context: Pick<CommandContext, 'env' | 'err'>,
): Promise<Config> {
  const local = await loadConfig(path);
  const { policyBundle } = local;
  if (policyBundle === undefined && bundle !== undefined && bundle !== 'none')
    throw new UsageError(`--bundle: ${path} has no policy_bundle, which says whose signature counts`);
  if (policyBundle === undefined || bundle === 'none') return local;
  const found = await readBundle(policyBundle, local.stateDir, bundle, context.env).catch(
    (error: unknown) => {
      if (!(error instanceof BundleFault)) throw error;
      const message = `${error.message}; --bundle FILE names one, --bundle none goes without`;
      throw new ConfigError(path, [{ path: 'policy_bundle', line: undefined, column: undefined, message }]);
    },
  );
  const config = await loadConfig(path, found.texts);
  context.err(`policy bundle ${policyBundle.name}: ${found.which}\n`);
  return config;
}

interface Found {
  readonly texts: readonly ConfigText[];
  /** For people. */
  readonly which: string;
}

/** Throws BundleFault. */
async function readBundle(
  pinned: PolicyBundleConfig,
  stateDir: string | undefined,
  named: string | undefined,
  env: CommandContext['env'],
): Promise<Found> {
  if (named !== undefined) {
    const texts = await readConfigTexts(named);
    if (texts.length > 1 || /\.(ya?ml|json)$/.test(named))
      return { texts: toBeSigned(texts), which: `${named}, not signed` };
    return verified(texts[0]!.text, named, pinned);
  }
  const kept = stateDir && keptBundle(stateDir);
  const jws =
    kept &&
    (await readFile(kept, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw new BundleFault(`${kept} cannot be read: ${error.code}`);
    }));
  // What a process has in force stays so past its end.
  if (jws) return verified(jws, kept!, pinned, true);
  const { url } = pinned;
  return verified(await fetchBundle(pinned, { env, now: () => systemClock.now() }), url, pinned);
}

async function verified(
  jws: string,
  where: string,
  pinned: PolicyBundleConfig,
  inForce = false,
): Promise<Found> {
  try {
    const bundle = await verifyPinned(jws, pinned);
    const problem = timeProblem(bundle, systemClock.now());
    if (problem !== undefined && !inForce) throw new BundleFault(problem);
    return {
      texts: textsOfBundle(bundle),
      which: `serial ${bundle.serial} of ${where}${problem === undefined ? '' : `, ${problem}: a process that starts does not take it over`}`,
    };
  } catch (error) {
    throw error instanceof BundleFault ? new BundleFault(`${where}: ${error.message}`) : error;
  }
}

function toBeSigned(texts: readonly ConfigText[]): readonly ConfigText[] {
  return texts.map(({ file, text }) => ({ file: `bundle/${basename(file)}`, text, ofBundle: true }));
}
