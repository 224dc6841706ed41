// Verified tokens by SHA-256 of the whole token and the issuer that verified it, bounded by bytes. A key of less (a
// prefix, the token alone) let one caller have another's verdict elsewhere (Oathkeeper CVE-2026-33496).
import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { VerifiedToken } from './verified-token.ts';

/** Measured: 800 bytes of heap for a token of 360 bytes, 2,200 for one of 1,700; counted with room above it. */
const OVERHEAD_BYTES = 1_000;
const BYTES_PER_BYTE = 2;

export class VerifiedTokens {
  readonly #tokens: LRUCache<string, VerifiedToken>;

  constructor(maxBytes: number) {
    this.#tokens = new LRUCache({ maxSize: maxBytes });
  }

  /**
   * What a token is known by, here and in revocation lists and logs never. The same text as the `ath` of its DPoP proofs
   * (RFC 9449 section 4.2) and the key of its subject in the credential store.
   */
  static keyOf(token: string): string {
    return hash('sha256', token, 'base64url');
  }

  get(key: string, issuer: number): VerifiedToken | undefined {
    return this.#tokens.get(key + issuer);
  }

  /** `bytes`: length of the token. */
  set(key: string, token: VerifiedToken, bytes: number): void {
    this.#tokens.set(key + token.issuer, token, { size: OVERHEAD_BYTES + BYTES_PER_BYTE * bytes });
  }

  delete(key: string, issuer: number): void {
    this.#tokens.delete(key + issuer);
  }

  get bytes(): number {
    return this.#tokens.calculatedSize;
  }

  get size(): number {
    return this.#tokens.size;
  }
}
