// The configuration on disk, a file or a directory: the one place where the program reads it.
import { getHeapStatistics } from 'node:v8';
import { ConfigError } from '../lib/errors.ts';
import { collectGarbage } from '../lib/garbage.ts';
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
  const texts = [...(await readConfigTexts(path)), ...bundle];
  refuseTooLarge(
    texts.reduce((sum, { text }) => sum + text.length, 0),
    path,
  );
  return parseConfigTexts(texts, path);
}

/** Bytes of V8's heap that a character takes while it is read, of policies of 90 to 230 characters each (measured: 110). */
const HEAP_BYTES = 120;
const MIB = 1 << 20;

/**
 * `size`: characters of YAML. V8 ends a process without room: one that serves would lose the configuration that is in force.
 * Throws ConfigError.
 */
export function refuseTooLarge(size: number, path: string): void {
  const fits = (): boolean => {
    const { heap_size_limit: limit, used_heap_size: used } = getHeapStatistics();
    return size * HEAP_BYTES <= limit - used;
  };
  if (fits()) return;
  collectGarbage();
  if (fits()) return;
  const needed = Math.ceil((getHeapStatistics().used_heap_size + size * HEAP_BYTES) / MIB / 64) * 64;
  const message = `has ${size} characters, for which this process has no room: NODE_OPTIONS=--max-old-space-size=${needed} gives it more (MiB)`;
  throw new ConfigError(path, [{ path: '', line: undefined, column: undefined, message }]);
}

/** YAML that an option names; `expected`: what it maps. Throws ConfigError, with the place. */
export async function readMapping(file: string, expected: string): Promise<Record<string, unknown>> {
  const { value, placeOf } = parseYaml(await readConfigText(file), file);
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new ConfigError(file, [{ ...placeOf([]), path: '', message: `expected ${expected}` }]);
}
