// The configuration on disk, a file or a directory: the one place where the program reads it.

import { ConfigError } from '../lib/errors.ts';
import type { Config } from './config.ts';
import { type ConfigText, readConfigText, readConfigTexts } from './config-texts.ts';
import { parseConfigTexts } from './parse.ts';
import { parseYaml } from './yaml-document.ts';

export { readConfigText } from './config-texts.ts';

/**
 * `path`: a file, or a directory whose files are merged; `bundle` stands behind them. Throws ConfigError, also when it
 * cannot be read.
 */
export async function loadConfig(path: string, bundle: readonly ConfigText[] = []): Promise<Config> {
  return parseConfigTexts([...(await readConfigTexts(path)), ...bundle], path);
}

/** YAML that an option names; `expected`: what it maps. Throws ConfigError, with the place. */
export async function readMapping(file: string, expected: string): Promise<Record<string, unknown>> {
  const { value, placeOf } = parseYaml(await readConfigText(file), file);
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new ConfigError(file, [{ ...placeOf([]), path: '', message: `expected ${expected}` }]);
}
