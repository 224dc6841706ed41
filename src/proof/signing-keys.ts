// The keys of outbound[].sign: read at the start and again when their files change, so that signing itself waits for nothing.
import { createSecretKey } from 'node:crypto';
import type { MessageSignatureConfig } from '../config/config.ts';
import type { Clock } from '../lib/clock.ts';
import { CredentialError, secretUnreadable } from '../lib/errors.ts';
import { parsePrivateKey } from '../lib/private-key.ts';
import { createSecretReader, type SecretReader } from '../lib/secret-ref.ts';
import { watchFiles } from '../lib/watch.ts';
import type { Observer } from '../telemetry/observer.ts';
import type { SigningKey } from './message-signature.ts';
import { kindOf } from './sign.ts';

export interface SigningKeys {
  /** Of the policy of this name; undefined: none that is usable, and none was. */
  of(policy: string): SigningKey | undefined;
  /** Reads them for the first time. Never rejects: what is wrong is told, and the policy has no key. */
  start(): Promise<void>;
  stop(): void;
}

export interface SigningKeysDeps {
  readonly settings: ReadonlyMap<string, MessageSignatureConfig>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly observer: Observer;
}

export function createSigningKeys({ settings, env, clock, observer }: SigningKeysDeps): SigningKeys {
  const current = new Map<string, SigningKey>();
  const readers = new Map([...settings].map(([policy, { key }]) => [policy, createSecretReader(key, env)]));
  const stops: (() => void)[] = [];

  async function load(policy: string, reader: SecretReader): Promise<void> {
    const { algorithm } = settings.get(policy)!;
    try {
      current.set(policy, parse((await reader.read()).reveal(), algorithm));
    } catch (error) {
      if (!(error instanceof CredentialError)) throw error;
      // The last good one signs on; a file that changes is looked at again.
      observer.refreshFailed(`outbound.${policy}.sign`, error.code, error.message, 1_000);
    }
  }

  return {
    of: (policy) => current.get(policy),
    async start() {
      await Promise.all([...readers].map(([policy, reader]) => load(policy, reader)));
      for (const [policy, reader] of readers) {
        const changed = () => {
          observer.secretChanged(`outbound.${policy}.sign`);
          void load(policy, reader);
        };
        stops.push(watchFiles([reader.file], clock, changed));
      }
    },
    stop() {
      for (const stop of stops) stop();
    },
  };
}

function parse(text: string, algorithm: MessageSignatureConfig['algorithm']): SigningKey {
  if (algorithm === 'hmac-sha256')
    return { kind: algorithm, key: createSecretKey(Buffer.from(text, 'utf8')) };
  const key = parsePrivateKey(text)?.key;
  if (key === undefined || kindOf(key) !== algorithm) {
    throw secretUnreadable(`expected a private key for ${algorithm}, as PEM or JWK`);
  }
  return { kind: algorithm, key };
}
