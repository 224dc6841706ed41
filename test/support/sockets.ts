// A directory for Unix sockets of one test file, short enough for sun_path.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { UnixAddress } from '../../src/lib/address.ts';

export interface SocketFolder {
  readonly folder: string;
  address(name: string, mode?: number): UnixAddress;
  remove(): void;
}

export function createSocketFolder(): SocketFolder {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-'));
  return {
    folder,
    address: (name, mode = 0o660) => ({ kind: 'unix', path: join(folder, name), mode, group: undefined }),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
