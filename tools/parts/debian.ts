// Programs of Debian, unpacked into the user's cache without being installed: by apt-get, so that the machine's own
// sources hold and the signature is checked, and pinned to a version and a checksum.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cached } from './cache.ts';

const run = promisify(execFile);

/** Version and sha256 of the package for amd64. */
const PINS = {
  'etcd-server': {
    version: '3.4.23-4+b4',
    sha256: '3a9445d4560ad6de1c375756b2a17d97713df44cbd20a658c871fe108af7ef5d',
  },
  libfaketime: {
    version: '0.9.10-2.1',
    sha256: 'b09481e7690680966005330c3f907bba4b5eefc35e1faaea4783cc55655d1150',
  },
  'libnss-wrapper': {
    version: '1.1.12-1',
    sha256: '8bdc077d4f69f152da4ebd75f3a60ecbfa7e449e7a73915f11f269699aee4163',
  },
  prometheus: {
    version: '2.42.0+ds-5+deb12u1',
    sha256: '81d59a24fce84f7fbe97a45a4f2914b6a5881b5cd1db2a6a0e129e515e1a5f55',
  },
  'prometheus-alertmanager': {
    version: '0.25.0-1+b4',
    sha256: '4fb9aed15cfe8e0c32408e643ab32a1e41ee87d2cc26f18aeba928b1b0b98ae7',
  },
} as const;

export type DebianPackage = keyof typeof PINS;

/** Folder with the package's files (`usr/bin/…`). Throws where apt-get, this version or this machine's kind is missing. */
export function debianPackage(name: DebianPackage): Promise<string> {
  const { version, sha256 } = PINS[name];
  if (process.arch !== 'x64') throw new Error(`${name}: pinned for x64 only`);
  return cached(`debian-${name}-${version}`, async (folder) => {
    try {
      await run('apt-get', ['download', '-qq', `${name}=${version}`], { cwd: folder, timeout: 120_000 });
    } catch (error) {
      const said =
        (error as { stderr?: string }).stderr?.trim().split('\n').at(-1) ?? (error as Error).message;
      throw new Error(
        `${name} ${version} could not be fetched: ${said} (is "apt-get update" to be run first?)`,
      );
    }
    const file = (await readdir(folder)).find((entry) => entry.endsWith('.deb'))!;
    const found = createHash('sha256')
      .update(await readFile(join(folder, file)))
      .digest('hex');
    if (found !== sha256) throw new Error(`${name} ${version}: its checksum is ${found}, expected ${sha256}`);
    await run('dpkg-deb', ['-x', join(folder, file), folder]);
    await rm(join(folder, file));
  });
}
