// Pure Python packages that tests compare with, unpacked into the user's cache.
import { cached } from './cache.ts';
import { unpackWheel } from './wheel.ts';

const WHEELS = {
  'opentelemetry-proto': {
    version: '1.45.2',
    sha256: '03a7ca1b43f89fd5b965d5975902bb2515c0c86e2428b456836e9a6149c6235a',
  },
  protobuf: {
    version: '7.36.2',
    sha256: 'bdb3a345d48db958e6ce1f18e508beb0cc981d64f24088427549c866cd039f1e',
  },
  hpack: { version: '4.2.0', sha256: '858ac0b02280fa582b5080d68db0899c62a80375e0e5413a74970c5e518b6986' },
  h2: { version: '4.4.1', sha256: '0e25f1462b23c9cb82d9eb02e28bc706dac2a68cb457c6a0d74d63c8a2a5d0e6' },
  hyperframe: {
    version: '6.1.0',
    sha256: 'b03380493a519fce58ea5af42e4a42317bf9bd425596f7a0835ffce80f1a42e5',
  },
} as const;

/** Folder for PYTHONPATH. */
export function pythonPackage(project: keyof typeof WHEELS): Promise<string> {
  const { version, sha256 } = WHEELS[project];
  return cached(`python-${project}-${version}`, (folder) =>
    unpackWheel({ project, version, sha256 }, folder),
  );
}
