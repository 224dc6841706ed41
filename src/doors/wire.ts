// Protobuf wire format by hand, read in place: a Check needs six strings of a message that has dozens of fields.
// Every length is checked against its enclosing message; groups are refused. protobuf.dev/programming-guides/encoding

/** A string cut out of a longer one keeps all of it alive while a cold Check waits. */
const MAX_WHOLE_BYTES = 2_048;

export class MalformedMessage extends Error {
  override readonly name = 'MalformedMessage';
}

/** A position inside one message. Reused, so that reading allocates nothing but the strings. */
export class WireReader {
  #bytes: Buffer;
  /** The whole message, once a part of it was asked for. */
  #text: string | undefined;
  #position = 0;
  #end = 0;
  /** Of the last tag. */
  field = 0;
  #type = 0;

  constructor() {
    this.#bytes = Buffer.alloc(0);
  }

  reset(bytes: Uint8Array): void {
    this.#bytes = Buffer.isBuffer(bytes)
      ? bytes
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#text = undefined;
    this.#position = 0;
    this.#end = bytes.length;
  }

  /** Moves to the next field of the current message; false at its end. */
  next(): boolean {
    if (this.#position >= this.#end) return false;
    const tag = this.#varint();
    if (tag > 0xffff_ffff) throw new MalformedMessage('field number above 2^29');
    this.field = tag >>> 3;
    this.#type = tag & 7;
    if (this.field === 0) throw new MalformedMessage('field number 0');
    return true;
  }

  /** Enters the message of the current field; hand what it returns to leave(). */
  enter(): number {
    const length = this.#length();
    const outer = this.#end;
    this.#end = this.#position + length;
    return outer;
  }

  leave(outer: number): void {
    this.#position = this.#end;
    this.#end = outer;
  }

  /**
   * Bytes as characters (Latin-1): what is compared here is ASCII, and whatever else comes matches nothing. A call into the
   * runtime costs 60 ns whatever its length, so the whole message is read once and cut.
   */
  string(): string {
    const length = this.#length();
    const start = this.#position;
    this.#position += length;
    if (this.#bytes.length > MAX_WHOLE_BYTES) return this.#bytes.toString('latin1', start, this.#position);
    this.#text ??= this.#bytes.toString('latin1');
    return this.#text.slice(start, this.#position);
  }

  /** Whether the current field is this ASCII text. Reading a string costs 60 ns whatever its length, this loop a tenth. */
  is(text: string): boolean {
    const length = this.#length();
    const start = this.#position;
    this.#position += length;
    if (length !== text.length) return false;
    for (let i = 0; i < length; i++) if (this.#bytes[start + i] !== text.charCodeAt(i)) return false;
    return true;
  }

  /** Position of the current field in `known`, in place; -1 = none of them. */
  indexIn(known: readonly string[]): number {
    const length = this.#length();
    const start = this.#position;
    this.#position += length;
    search: for (let n = 0; n < known.length; n++) {
      const text = known[n]!;
      if (text.length !== length) continue;
      for (let i = 0; i < length; i++) if (this.#bytes[start + i] !== text.charCodeAt(i)) continue search;
      return n;
    }
    return -1;
  }

  /** The current field as a string: the one of `known` that it is, or a new one. */
  oneOf(known: readonly string[]): string {
    const start = this.#position;
    for (const text of known) {
      if (this.is(text)) return text;
      this.#position = start;
    }
    return this.string();
  }

  skip(): void {
    switch (this.#type) {
      case 0:
        this.#varint();
        return;
      case 1:
        this.#advance(8);
        return;
      case 2:
        this.#advance(this.#length());
        return;
      case 5:
        this.#advance(4);
        return;
      default:
        throw new MalformedMessage(`wire type ${this.#type}`);
    }
  }

  #advance(count: number): void {
    if (count > this.#end - this.#position) throw new MalformedMessage('field beyond its message');
    this.#position += count;
  }

  #length(): number {
    if (this.#type !== 2) throw new MalformedMessage(`wire type ${this.#type} where a length was expected`);
    const length = this.#varint();
    if (length > this.#end - this.#position) throw new MalformedMessage('length beyond its message');
    return length;
  }

  #varint(): number {
    // Nearly all tags and lengths are one byte or two; a power is a call into the mathematical library.
    const position = this.#position;
    if (position + 1 < this.#end) {
      const low = this.#bytes[position]!;
      if (low < 0x80) {
        this.#position = position + 1;
        return low;
      }
      const high = this.#bytes[position + 1]!;
      if (high < 0x80) {
        this.#position = position + 2;
        return (low & 0x7f) | (high << 7);
      }
    }
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.#position >= this.#end) throw new MalformedMessage('cut varint');
      const byte = this.#bytes[this.#position++]!;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new MalformedMessage('varint of more than ten bytes');
  }
}
