// What the guard knows, kept over a restart in `state_dir`. It holds parts of configurations and is trusted as they are.
import { mkdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { writeDurably } from '../../lib/durable-file.ts';
import { fingerprint } from '../../lib/fingerprint.ts';
import type { PolicyState, PolicyStates, Version } from '../../policy/guard/versions.ts';

const FILE = 'guard.json';
const FORMAT = 1;
const MAX_BYTES = 16 << 20;

/** Empty where there is none. Rejects where there is one that cannot be used. */
export async function readGuardState(folder: string): Promise<PolicyStates> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, FILE);
  let text: string;
  try {
    const { size, mode } = await stat(path);
    if ((mode & 0o022) !== 0) throw new Error(`${path} may be written by others than its owner`);
    if (size > MAX_BYTES) throw new Error(`${path} is larger than ${MAX_BYTES} bytes`);
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Map();
    throw error;
  }
  const { format, policies } = JSON.parse(text) as { format: unknown; policies: Record<string, PolicyState> };
  if (format !== FORMAT) throw new Error(`${path} has a format of another version of bearerd`);
  const states = new Map(Object.entries(policies));
  for (const [name, { current, good }] of states) {
    if (![current, good ?? current].every((version) => isWhole(version, name))) {
      throw new Error(`${path} is damaged at policy ${name}`);
    }
  }
  return states;
}

/** Rejects with the fault of the file system. */
export async function writeGuardState(folder: string, text: string): Promise<void> {
  await writeDurably(join(folder, FILE), text);
}

/** Policies with a secret in the configuration itself (mode: development) are left out: no secret is written. */
export function guardStateText(states: PolicyStates): string {
  const policies = [...states].filter(([, { current, good }]) => [current, good].every(isPlain));
  return `${JSON.stringify({ format: FORMAT, policies: Object.fromEntries(policies) })}\n`;
}

function isWhole({ hash, outbound, sources }: Version, name: string): boolean {
  return outbound.name === name && fingerprint({ outbound, sources }) === hash;
}

/** Whether JSON says all of it: no Secret, nothing that is code. */
function isPlain(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) {
    return typeof value !== 'function' && (typeof value !== 'number' || Number.isFinite(value));
  }
  const plain = Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype;
  return plain && Object.values(value).every(isPlain);
}
