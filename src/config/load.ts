// The configuration file on disk.
import { readFile } from 'node:fs/promises';
import { ConfigError } from '../lib/errors.ts';
import type { Config } from './config.ts';
import { parseConfig } from './parse.ts';

const MAX_BYTES = 16 << 20;

/** Throws ConfigError, also when the file cannot be read. */
export async function loadConfig(file: string): Promise<Config> {
  return parseConfig(await readConfigText(file), file);
}

/** Throws ConfigError when the file cannot be read or is far too large. */
export async function readConfigText(file: string): Promise<string> {
  const fail = (message: string) =>
    new ConfigError(file, [{ path: '', line: undefined, column: undefined, message }]);
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw fail(`cannot be read: ${error.code === 'ENOENT' ? 'there is no such file' : error.code}`);
  });
  if (text.length > MAX_BYTES) throw fail(`is larger than ${MAX_BYTES} bytes`);
  return text;
}
