// client_secret_basic and client_secret_post (RFC 6749 section 2.3.1), with a second secret while one follows the other.
import type { ClientAuth } from 'oauth4webapi';
import type { SecretRef } from '../../../config/config.ts';
import { createSecretReader } from '../../../lib/secret-ref.ts';
import type { ClientAuthentication } from './client-authentication.ts';

export function createClientSecret(
  refs: readonly SecretRef[],
  method: (secret: string) => ClientAuth,
  env: Readonly<Record<string, string | undefined>>,
): ClientAuthentication {
  const secrets = refs.map((ref) => createSecretReader(ref, env));
  // The one that was taken last, so that a secret which came or went costs one refused call and not one each time.
  let inUse = 0;
  let isPadded = false;
  const indexes = new WeakMap<ClientAuth, number>();

  /** Once, however many calls find out. */
  function leave(index: number): void {
    if (index === inUse) inUse = (inUse + 1) % secrets.length;
  }

  return {
    async authenticate() {
      const index = inUse;
      const secret = await secrets[index]!.read().catch((error: unknown) => {
        leave(index);
        throw error;
      });
      isPadded = secret.reveal().trim() !== secret.reveal();
      const proof = method(secret.reveal());
      indexes.set(proof, index);
      return proof;
    },
    oddity: () => (isPadded ? 'client_secret begins or ends with white space' : undefined),
    refused(sent) {
      const index = sent === undefined ? undefined : indexes.get(sent);
      if (index !== undefined) leave(index);
      return secrets.length > 1;
    },
    files: secrets.flatMap(({ file }) => file ?? []),
  };
}
