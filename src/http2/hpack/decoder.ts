// Header blocks of one connection, in the order in which they arrive. RFC 7541, section 6.
import { ErrorCode, Http2Error } from '../errors.ts';
import { DynamicTable } from './dynamic-table.ts';
import { fieldBytes, type HeaderField } from './header-field.ts';
import { decodeHuffman } from './huffman.ts';
import { STATIC_TABLE } from './static-table.ts';

export interface DecodedBlock {
  readonly fields: readonly HeaderField[];
  /** The list grew over its limit; `fields` is not whole, the table is right all the same. */
  readonly tooLarge: boolean;
  /** The dynamic table was only read: the same bytes give the same fields until another block changes it. */
  readonly unchanged: boolean;
}

export class HpackDecoder {
  readonly #limit: number;
  readonly #table: DynamicTable;
  #block: Buffer = Buffer.alloc(0);
  #at = 0;

  /** @param tableBytes SETTINGS_HEADER_TABLE_SIZE that the peer was told; 4096 when it was told nothing. */
  constructor(tableBytes: number) {
    this.#limit = tableBytes;
    this.#table = new DynamicTable(tableBytes);
  }

  /** Bytes that the dynamic table holds now, for tests of eviction. */
  get tableBytes(): number {
    return this.#table.bytes;
  }

  /** A whole block (HEADERS with its CONTINUATIONs). Throws Http2Error COMPRESSION_ERROR; the decoder is unusable then. */
  decode(block: Buffer, maxListBytes: number): DecodedBlock {
    this.#block = block;
    this.#at = 0;
    const fields: HeaderField[] = [];
    let listBytes = 0;
    let count = 0;
    let unchanged = true;
    while (this.#at < block.length) {
      const first = block[this.#at]!;
      let field: HeaderField;
      if (first >= 0x80) {
        field = this.#entry(this.#integer(7));
      } else if (first >= 0x40) {
        field = this.#literal(6);
        this.#table.add(field);
        unchanged = false;
      } else if (first >= 0x20) {
        // Section 4.2: only before the first field.
        if (count > 0) throw malformed('table size update inside a header block');
        this.#resize(this.#integer(5));
        unchanged = false;
        continue;
      } else {
        field = this.#literal(4); // without indexing, and never indexed
      }
      count++;
      listBytes += fieldBytes(field);
      if (listBytes <= maxListBytes) fields.push(field);
    }
    return { fields, tooLarge: listBytes > maxListBytes, unchanged };
  }

  #entry(index: number): HeaderField {
    const field =
      index <= STATIC_TABLE.length
        ? STATIC_TABLE[index - 1]
        : this.#table.get(index - STATIC_TABLE.length - 1);
    if (field === undefined) throw malformed('index outside of both tables');
    return field;
  }

  #literal(prefixBits: number): HeaderField {
    const index = this.#integer(prefixBits);
    const name = index === 0 ? this.#string().toString('latin1') : this.#entry(index).name;
    return { name, value: this.#string() };
  }

  #resize(bytes: number): void {
    if (bytes > this.#limit) throw malformed('table size update above the limit');
    this.#table.resize(bytes);
  }

  /** A copy: an entry of the table outlives the block, and a view would keep the whole read buffer alive. */
  #string(): Buffer {
    const huffman = (this.#block[this.#at] ?? 0) >= 0x80;
    const length = this.#integer(7);
    const start = this.#at;
    if (length > this.#block.length - start) throw malformed('string beyond its header block');
    this.#at = start + length;
    return huffman
      ? decodeHuffman(this.#block, start, this.#at)
      : Buffer.from(this.#block.subarray(start, this.#at));
  }

  /** Section 5.1. Four bytes beyond the prefix are more than any limit here needs. */
  #integer(prefixBits: number): number {
    const block = this.#block;
    if (this.#at >= block.length) throw malformed('header block ends inside a field');
    const mask = (1 << prefixBits) - 1;
    let value = block[this.#at++]! & mask;
    if (value < mask) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      if (this.#at >= block.length) throw malformed('header block ends inside an integer');
      const byte = block[this.#at++]!;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw malformed('integer too large');
  }
}

function malformed(message: string): Http2Error {
  return new Http2Error(ErrorCode.COMPRESSION_ERROR, message, 'compression_error');
}
