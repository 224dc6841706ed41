// The public keys of every source that signs by itself, as one JSON Web Key Set (RFC 7517 section 5).
import type { PublicKey, TokenSource } from './credential.ts';

/** undefined where no source signs. Two sources may sign with the same key: it stands there once. */
export function buildJwks(
  sources: readonly TokenSource[],
): { readonly keys: readonly PublicKey[] } | undefined {
  const signers = sources.filter(({ publicKeys }) => publicKeys !== undefined);
  if (signers.length === 0) return undefined;
  const keys = signers.flatMap((source) => source.publicKeys!());
  return { keys: [...new Map(keys.map((key) => [JSON.stringify(key), key])).values()] };
}
