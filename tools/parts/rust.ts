// Programs in Rust, built from a crate of ours in this repository (Cargo.lock pins everything) into the user's cache.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cached } from './cache.ts';

const run = promisify(execFile);
const BUILD_TIMEOUT_MS = 900_000;

export async function hasRust(): Promise<boolean> {
  return run('cargo', ['--version']).then(
    () => true,
    () => false,
  );
}

/** Path of the program of the crate in `source`, built again when the crate changes. Throws with what cargo said. */
export async function rustProgram(name: string, source: string): Promise<string> {
  const hash = createHash('sha256');
  for (const file of ['Cargo.toml', 'Cargo.lock', 'src/main.rs'])
    hash.update(await readFile(join(source, file)));
  const entry = `${name}-${hash.digest('hex').slice(0, 16)}-${process.arch}`;
  const folder = await cached(entry, async (temporary) => {
    const target = join(temporary, 'target');
    try {
      await run('cargo', ['build', '--release', '--locked', '--target-dir', target], {
        cwd: source,
        timeout: BUILD_TIMEOUT_MS,
        maxBuffer: 16 << 20,
      });
    } catch (error) {
      const { stderr, message } = error as Error & { stderr?: string };
      throw new Error(
        `${name} could not be built: ${stderr?.trim().split('\n').slice(-5).join(' ') || message}`,
      );
    }
    await rename(join(target, 'release/peer'), join(temporary, name));
    await rm(target, { recursive: true });
  });
  return join(folder, name);
}
