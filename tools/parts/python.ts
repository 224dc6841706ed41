// Pure Python packages that tests compare with, unpacked into the user's cache.
import { cached } from './cache.ts';
import { unpackWheel } from './wheel.ts';

const WHEELS = {
  hpack: { version: '4.2.0', sha256: '858ac0b02280fa582b5080d68db0899c62a80375e0e5413a74970c5e518b6986' },
} as const;

/** Folder for PYTHONPATH. */
export function pythonPackage(project: keyof typeof WHEELS): Promise<string> {
  const { version, sha256 } = WHEELS[project];
  return cached(`python-${project}-${version}`, (folder) =>
    unpackWheel({ project, version, sha256 }, folder),
  );
}
