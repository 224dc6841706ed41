// Verified tokens by SHA-256 of the whole token and the issuer that verified it, bounded by bytes. A key of less (a
// prefix, the token alone) let one caller have another's verdict elsewhere (Oathkeeper CVE-2026-33496).
import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { VerifiedToken } from './verified-token.ts';

/** Of the objects around the claims, measured: bytes of heap beside the text of the claims. */
const OVERHEAD_BYTES = 1_500;

export class VerifiedTokens {
  readonly #tokens: LRUCache<string, VerifiedToken>;

  constructor(maxBytes: number) {
    this.#tokens = new LRUCache({ maxSize: maxBytes });
  }

  /** What a token is known by, here and in revocation lists and logs never. */
  static keyOf(token: string): string {
    return hash('sha256', token, 'base64');
  }

  get(key: string, issuer: number): VerifiedToken | undefined {
    return this.#tokens.get(key + issuer);
  }

  /** `bytes`: length of the token. */
  set(key: string, token: VerifiedToken, bytes: number): void {
    // Claims as objects take about three times their text, and the answer holds what is forwarded.
    this.#tokens.set(key + token.issuer, token, { size: OVERHEAD_BYTES + 4 * bytes });
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
