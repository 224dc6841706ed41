// The configuration on disk as texts: one file, or the files of a directory, read as they stood at one moment.
import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ConfigError } from '../lib/errors.ts';
import { fileFault } from '../lib/file-fault.ts';

const MAX_BYTES = 16 << 20;
const MAX_FILES = 200;
/** A directory that changes faster than it is read is no configuration. */
const ATTEMPTS = 5;

export interface ConfigText {
  /** As messages name it. Relative paths inside are relative to where it stands. */
  readonly file: string;
  readonly text: string;
  /** It came in the signed bundle, which may say less than a local file (bundle-bounds.ts). */
  readonly ofBundle?: boolean;
}

/**
 * Of a directory: its files ending in .yaml, .yml or .json in the order of their names (by code unit); hidden ones and
 * subdirectories are passed over. Throws ConfigError when there is nothing to read.
 */
export async function readConfigTexts(path: string): Promise<readonly ConfigText[]> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isDirectory()) return [{ file: path, text: await readConfigText(path) }];
  for (let attempt = 1; ; attempt++) {
    const before = await directoryState(path);
    try {
      const texts = await readDirectory(path);
      // Two files of two versions would be a configuration that nobody wrote.
      if ((await directoryState(path)) === before) return texts;
    } catch (error) {
      if (attempt === ATTEMPTS || (await directoryState(path)) === before) throw error;
    }
    if (attempt === ATTEMPTS) throw unreadable(path, 'changes while it is read');
  }
}

/** Of a signed bundle, in the same order. */
export function textsOfBundle({
  serial,
  files,
}: {
  readonly serial: number;
  readonly files: Readonly<Record<string, string>>;
}): readonly ConfigText[] {
  return Object.entries(files)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, text]) => ({ file: `bundle ${serial}/${name}`, text, ofBundle: true }));
}

/** Throws ConfigError when the file cannot be read or is far too large. */
export async function readConfigText(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw unreadable(file, `cannot be read: ${fileFault(error)}`);
  });
  if (text.length > MAX_BYTES) throw unreadable(file, `is larger than ${MAX_BYTES} bytes`);
  return text;
}

/** The same while nothing of the file or directory changes; undefined while it is away. For watchState(). */
export async function configState(path: string): Promise<string | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  if (found === undefined) return undefined;
  return found.isDirectory() ? directoryState(path) : stateText(found);
}

async function readDirectory(path: string): Promise<readonly ConfigText[]> {
  const names = await configNames(path);
  if (names.length === 0) throw unreadable(path, 'has no file ending in .yaml, .yml or .json');
  if (names.length > MAX_FILES) throw unreadable(path, `has more than ${MAX_FILES} files`);
  return Promise.all(
    names.map(async (name) => ({ file: join(path, name), text: await readConfigText(join(path, name)) })),
  );
}

async function configNames(path: string): Promise<readonly string[]> {
  const entries = await readdir(path).catch((error: NodeJS.ErrnoException) => {
    throw unreadable(path, `cannot be read: ${fileFault(error)}`);
  });
  const names = entries.filter((name) => /^[^.].*\.(ya?ml|json)$/.test(basename(name)));
  const kept = await Promise.all(
    names.map(async (name) => !(await stat(join(path, name)).catch(() => undefined))?.isDirectory()),
  );
  return names.filter((_, i) => kept[i]).sort();
}

async function directoryState(path: string): Promise<string> {
  const names = await configNames(path).catch(() => []);
  const states = await Promise.all(
    names.map(async (name) => {
      const file = join(path, name);
      // In a ConfigMap's volume the name leads through the link ..data, which is exchanged as a whole.
      const [target, found] = await Promise.all([
        realpath(file).catch(() => ''),
        stat(file, { bigint: true }).catch(() => undefined),
      ]);
      return `${name}=${target}:${found === undefined ? '' : stateText(found)}`;
    }),
  );
  return states.join('\n');
}

function stateText(s: { dev: bigint; ino: bigint; size: bigint; mtimeNs: bigint; ctimeNs: bigint }): string {
  return `${s.dev}:${s.ino}:${s.size}:${s.mtimeNs}:${s.ctimeNs}`;
}

function unreadable(file: string, message: string): ConfigError {
  return new ConfigError(file, [{ path: '', line: undefined, column: undefined, message }]);
}
