// The dynamic table. RFC 7541, sections 2.3.2 and 4.
import { fieldBytes, type HeaderField } from './header-field.ts';

export class DynamicTable {
  /** Oldest first. */
  readonly #entries: HeaderField[] = [];
  #bytes = 0;
  #maxBytes: number;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get length(): number {
    return this.#entries.length;
  }

  /** 0 is the newest. */
  get(index: number): HeaderField | undefined {
    return this.#entries[this.#entries.length - 1 - index];
  }

  /** An entry larger than the table empties it and is not kept; that is no error (section 4.4). */
  add(field: HeaderField): void {
    const bytes = fieldBytes(field);
    this.#evict(this.#maxBytes - bytes);
    if (bytes > this.#maxBytes) return;
    this.#entries.push(field);
    this.#bytes += bytes;
  }

  resize(maxBytes: number): void {
    this.#maxBytes = maxBytes;
    this.#evict(maxBytes);
  }

  #evict(until: number): void {
    while (this.#bytes > until && this.#entries.length > 0) this.#bytes -= fieldBytes(this.#entries.shift()!);
  }
}
