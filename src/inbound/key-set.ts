// The public keys of one issuer, from a JWK Set (RFC 7517). A new set takes over as a whole or not at all; a key that is
// not in it any more is dead, and with it every token that it verified.
import { createPublicKey, type KeyObject } from 'node:crypto';

const MAX_KEYS = 100;
/** RFC 7518 section 3.3. */
const MIN_RSA_BITS = 2_048;

export interface VerificationKey {
  readonly kid: string | undefined;
  /** Of the JWK; undefined = every algorithm of its kind. */
  readonly alg: string | undefined;
  /** `RSA`, `P-256`, `P-384`, `P-521`, `Ed25519`. */
  readonly kind: string;
  readonly key: KeyObject;
  /** False once its issuer publishes it no more. */
  live: boolean;
}

const KIND_OF: Readonly<Record<string, string>> = {
  RS256: 'RSA',
  RS384: 'RSA',
  RS512: 'RSA',
  PS256: 'RSA',
  PS384: 'RSA',
  PS512: 'RSA',
  ES256: 'P-256',
  ES384: 'P-384',
  ES512: 'P-521',
  EdDSA: 'Ed25519',
  Ed25519: 'Ed25519',
};

/** A token without kid is tried with at most so many keys. */
const MAX_CANDIDATES = 8;

export class KeySet {
  /** Canonical JWK → key. */
  #keys = new Map<string, VerificationKey>();

  /** Keys that may have signed a token with this header. */
  candidates(kid: string | undefined, alg: string): VerificationKey[] {
    const found: VerificationKey[] = [];
    for (const key of this.#keys.values()) {
      if (key.kind !== KIND_OF[alg] || (key.alg !== undefined && key.alg !== alg)) continue;
      // A key without kid is asked for by no name.
      if (kid !== undefined && key.kid !== undefined && key.kid !== kid) continue;
      found.push(key);
      if (found.length === MAX_CANDIDATES) break;
    }
    return found;
  }

  named(kid: string): VerificationKey[] {
    return [...this.#keys.values()].filter((key) => key.kid === kid);
  }

  get size(): number {
    return this.#keys.size;
  }

  /** What is wrong with the set; undefined = taken over. */
  replace(document: unknown): string | undefined {
    const list = (document as { keys?: unknown } | null)?.keys;
    if (!Array.isArray(list)) return 'it is no JWK Set: keys is missing';
    if (list.length > MAX_KEYS) return `it has more than ${MAX_KEYS} keys`;
    const next = new Map<string, VerificationKey>();
    for (const jwk of list) {
      const key = parseKey(jwk);
      if (key === undefined) continue;
      const name = canonical(jwk as Record<string, unknown>);
      next.set(name, this.#keys.get(name) ?? key);
    }
    if (next.size === 0) return 'it has no usable key for signatures';
    const before = this.#keys;
    this.#keys = next;
    for (const [name, key] of before) if (!next.has(name)) key.live = false;
    return undefined;
  }

  /** Nothing is verified any more. */
  clear(): void {
    for (const key of this.#keys.values()) key.live = false;
    this.#keys = new Map();
  }
}

/** undefined for what verifies no signature here: other uses, secrets, weak or broken keys. */
export function parseKey(value: unknown): VerificationKey | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const jwk = value as Record<string, unknown>;
  // A private or shared key in a public set is everybody's.
  if (jwk['kty'] === 'oct' || jwk['d'] !== undefined || jwk['k'] !== undefined) return undefined;
  if (jwk['use'] !== undefined && jwk['use'] !== 'sig') return undefined;
  if (Array.isArray(jwk['key_ops']) && !jwk['key_ops'].includes('verify')) return undefined;
  if (jwk['kid'] !== undefined && typeof jwk['kid'] !== 'string') return undefined;
  if (jwk['alg'] !== undefined && typeof jwk['alg'] !== 'string') return undefined;
  const kind = jwk['kty'] === 'RSA' ? 'RSA' : jwk['crv'];
  if (typeof kind !== 'string' || !Object.values(KIND_OF).includes(kind)) return undefined;
  try {
    const key = createPublicKey({ key: jwk as never, format: 'jwk' });
    if (kind === 'RSA' && (key.asymmetricKeyDetails?.modulusLength ?? 0) < MIN_RSA_BITS) return undefined;
    return { kid: jwk['kid'], alg: jwk['alg'], kind, key, live: true };
  } catch {
    return undefined;
  }
}

/** The same key with the same name and use is the same entry, whatever the order of its members. */
function canonical(jwk: Record<string, unknown>): string {
  const members = ['kid', 'alg', 'kty', 'crv', 'n', 'e', 'x', 'y'];
  return JSON.stringify(members.map((name) => jwk[name] ?? null));
}
