// The Huffman code of HPACK. RFC 7541, section 5.2 and appendix B.
// The code is canonical: the lengths alone give every code word, and a code word is found by comparing it with the first
// one of its length. Most symbols have five to seven bits, so that two or three comparisons find them.
import { ErrorCode, Http2Error } from '../errors.ts';

/** Bits of the code word of each byte, and of EOS at the end. */
// biome-ignore format: a table
const LENGTHS = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
  28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
  5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
  7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
  6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
  24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
  21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
  19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
  26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
  30,
];

const EOS = 256;
const MIN_BITS = 5;
const MAX_BITS = 30;

/** All symbols in the order of their code words. */
const symbols = LENGTHS.map((_, symbol) => symbol).sort((a, b) => LENGTHS[a]! - LENGTHS[b]! || a - b);
/** Per length: the code word after the last one, and where in `symbols` a code word of 0 would stand. */
const codeEnd = new Int32Array(MAX_BITS + 1);
const symbolBase = new Int32Array(MAX_BITS + 1);

for (let bits = 1, code = 0, at = 0; bits <= MAX_BITS; bits++) {
  const count = LENGTHS.filter((length) => length === bits).length;
  symbolBase[bits] = at - code;
  codeEnd[bits] = code + count;
  at += count;
  code = (code + count) << 1;
}

/** A byte takes five bits at least. */
const MAX_EXPANSION = 8 / MIN_BITS;

/** Throws Http2Error COMPRESSION_ERROR: EOS in the string, or padding that is not up to seven bits of ones. */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number): Buffer {
  const out = Buffer.allocUnsafe(Math.ceil((end - start) * MAX_EXPANSION));
  let length = 0;
  let code = 0;
  let bits = 0;
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!;
    for (let bit = 7; bit >= 0; bit--) {
      code = (code << 1) | ((byte >> bit) & 1);
      bits++;
      if (bits < MIN_BITS || code >= codeEnd[bits]!) continue;
      const symbol = symbols[symbolBase[bits]! + code]!;
      if (symbol === EOS) throw new Http2Error(ErrorCode.COMPRESSION_ERROR, 'EOS in a Huffman string');
      out[length++] = symbol;
      code = 0;
      bits = 0;
    }
  }
  if (bits > 7 || code !== (1 << bits) - 1) {
    throw new Http2Error(ErrorCode.COMPRESSION_ERROR, 'wrong padding of a Huffman string');
  }
  return out.subarray(0, length);
}
