// Public keys of those who sign requests, a JWK Set for each policy that asks for signatures.
import { readFile } from 'node:fs/promises';
import type { InboundConfig } from '../config/inbound/config.ts';
import { watchFile } from '../lib/watch.ts';
import { createIssuerKeys, type IssuerKeys, type IssuerKeysDeps } from './issuer-keys.ts';
import type { VerificationKey } from './key-set.ts';

export interface SignerKeys {
  /** Keys of this id for the policy at this position. */
  of(policy: number, kid: string): readonly VerificationKey[];
  start(): void;
  stop(): void;
  readonly missing: readonly string[];
}

export function createSignerKeys(
  config: InboundConfig,
  { clock, observer, random }: Pick<IssuerKeysDeps, 'clock' | 'observer' | 'random'>,
): SignerKeys {
  const byFile = new Map<string, IssuerKeys>();
  const ofPolicy = config.policies.map(({ signature }) => {
    if (signature === undefined) return undefined;
    const { keysFile } = signature;
    const keys =
      byFile.get(keysFile) ??
      createIssuerKeys({
        issuer: keysFile,
        load: async () => JSON.parse(await readFile(keysFile, 'utf8')) as unknown,
        watch: (changed) => watchFile(keysFile, clock, changed),
        clock,
        observer,
        random,
      });
    byFile.set(keysFile, keys);
    return keys;
  });
  const all = [...byFile.entries()];
  return {
    of: (policy, kid) => ofPolicy[policy]?.named(kid) ?? [],
    start: () => all.forEach(([, keys]) => void keys.start()),
    stop: () => all.forEach(([, keys]) => void keys.stop()),
    get missing() {
      return all.filter(([, keys]) => !keys.known).map(([file]) => `keys of ${file}`);
    },
  };
}
