// Header blocks seen before. A client sends the same head for every call of a method: after the first request it is some
// ten bytes of indices, and decoding them again costs more than the rest of the frame.
import type { Handler } from './service.ts';

/** What a header block led to. */
export interface KnownHead {
  readonly handler: Handler;
  readonly contentLength: number;
}

const MAX_ENTRIES = 8;
/** Longer ones are rare, and seldom the same. */
const MAX_BLOCK_BYTES = 512;

/**
 * Right only as long as the dynamic table stays as it is: the same index means another field afterwards. So only blocks
 * that left the table alone are kept, and every block that changes it clears all.
 */
export class HeadCache {
  readonly #blocks: Uint8Array[] = [];
  readonly #heads: KnownHead[] = [];
  #next = 0;

  find(chunk: Uint8Array, start: number, end: number): KnownHead | undefined {
    const blocks = this.#blocks;
    for (let i = 0; i < blocks.length; i++) {
      if (equals(blocks[i]!, chunk, start, end)) return this.#heads[i];
    }
    return undefined;
  }

  keep(block: Uint8Array, head: KnownHead): void {
    if (block.length > MAX_BLOCK_BYTES) return;
    this.#blocks[this.#next] = Uint8Array.from(block);
    this.#heads[this.#next] = head;
    this.#next = (this.#next + 1) % MAX_ENTRIES;
  }

  clear(): void {
    this.#blocks.length = 0;
    this.#heads.length = 0;
    this.#next = 0;
  }
}

// A loop: for some ten bytes it is faster than a call of Buffer.compare.
function equals(block: Uint8Array, chunk: Uint8Array, start: number, end: number): boolean {
  if (block.length !== end - start) return false;
  for (let i = block.length - 1; i >= 0; i--) if (block[i] !== chunk[start + i]) return false;
  return true;
}
