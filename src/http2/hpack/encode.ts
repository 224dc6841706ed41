// Header blocks that we send: made once, from constants. Without the dynamic table a block is the same on every
// connection at every time, whatever table size the peer allows, and can be encoded in advance. RFC 7541, section 6.2.2.
import { STATIC_TABLE } from './static-table.ts';

/** Names in lower case, values in ASCII. */
export function encodeHeaders(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  return Buffer.concat(fields.map(([name, value]) => encodeField(name, value)));
}

function encodeField(name: string, value: string): Buffer {
  const whole = STATIC_TABLE.findIndex(
    (entry) => entry.name === name && entry.value.equals(Buffer.from(value)),
  );
  if (whole !== -1) return encodeInteger(0x80, 7, whole + 1);
  const named = STATIC_TABLE.findIndex((entry) => entry.name === name);
  return Buffer.concat([
    encodeInteger(0, 4, named + 1), // 0 = the name follows
    ...(named === -1 ? [encodeString(name)] : []),
    encodeString(value),
  ]);
}

function encodeString(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  return Buffer.concat([encodeInteger(0, 7, bytes.length), bytes]);
}

function encodeInteger(pattern: number, prefixBits: number, value: number): Buffer {
  const mask = (1 << prefixBits) - 1;
  if (value < mask) return Buffer.of(pattern | value);
  const bytes = [pattern | mask];
  let rest = value - mask;
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}
