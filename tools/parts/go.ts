// Programs in Go, built from a module of ours in this repository (go.sum pins everything) into the user's cache.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cached, cacheFolder } from './cache.ts';

const run = promisify(execFile);
const BUILD_TIMEOUT_MS = 600_000;

export interface GoBuild {
  /** Longest build, milliseconds. Default ten minutes. */
  readonly timeoutMs?: number;
}

/** Whether there is a Go to build with. */
export async function hasGo(): Promise<boolean> {
  return run('go', ['version']).then(
    () => true,
    () => false,
  );
}

/**
 * Path of the program `name`, built from the package `target` of the module in `source`; built again when a file of the
 * module changes. Throws with what the compiler said.
 */
export async function goProgram(
  name: string,
  source: string,
  target: string,
  { timeoutMs = BUILD_TIMEOUT_MS }: GoBuild = {},
): Promise<string> {
  const folder = await cached(`${name}-${await hashOf(source)}-${process.arch}`, async (temporary) => {
    try {
      await run('go', ['build', '-trimpath', '-o', join(temporary, name), target], {
        cwd: source,
        timeout: timeoutMs,
        maxBuffer: 4 << 20,
      });
    } catch (error) {
      const { stderr, message } = error as Error & { stderr?: string };
      throw new Error(
        `${name} could not be built: ${stderr?.trim().split('\n').slice(-5).join(' ') || message}`,
      );
    }
  });
  return join(folder, name);
}

/** Path of the program if it was built from this module before; undefined = it is not there. Builds nothing. */
export async function builtGoProgram(name: string, source: string): Promise<string | undefined> {
  const path = join(cacheFolder(), `${name}-${await hashOf(source)}-${process.arch}`, name);
  return access(path).then(
    () => path,
    () => undefined,
  );
}

async function hashOf(folder: string): Promise<string> {
  const hash = createHash('sha256');
  const files = (await readdir(folder)).filter((file) => /\.go$|^go\.(mod|sum)$/.test(file)).sort();
  for (const file of files) hash.update(file).update(await readFile(join(folder, file)));
  return hash.digest('hex').slice(0, 16);
}
