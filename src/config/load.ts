// The configuration on disk, a file or a directory: the one place where the program reads it.
import type { Config } from './config.ts';
import { type ConfigText, readConfigTexts } from './config-texts.ts';
import { parseConfigTexts } from './parse.ts';

export { readConfigText } from './config-texts.ts';

/**
 * `path`: a file, or a directory whose files are merged; `bundle` stands behind them. Throws ConfigError, also when it
 * cannot be read.
 */
export async function loadConfig(path: string, bundle: readonly ConfigText[] = []): Promise<Config> {
  return parseConfigTexts([...(await readConfigTexts(path)), ...bundle], path);
}
