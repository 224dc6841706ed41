import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ErrorCode, Http2Error } from '../../../../src/http2/errors.ts';
import { HpackDecoder } from '../../../../src/http2/hpack/decoder.ts';
import { encodeHeaders } from '../../../../src/http2/hpack/encode.ts';

const decode = (hex: string, decoder = new HpackDecoder(4_096)) =>
  decoder.decode(Buffer.from(hex.replaceAll(' ', ''), 'hex'), 16_384);

function refused(hex: string, message: RegExp): void {
  assert.throws(
    () => decode(hex),
    (error: unknown) =>
      error instanceof Http2Error &&
      error.code === ErrorCode.COMPRESSION_ERROR &&
      message.test(error.message),
  );
}

describe('header blocks that are no header blocks', () => {
  test('index 0, and indices beyond both tables', () => {
    refused('80', /outside of both tables/);
    refused('be', /outside of both tables/); // 62, with an empty dynamic table
    refused('7f00 01 61', /outside of both tables/);
    refused('ff80808001', /outside|too large/);
  });

  test('integers that do not end, or that are too large', () => {
    refused('ff', /inside an integer/);
    refused('ff80', /inside an integer/);
    refused('ffffffffffff', /too large/);
    refused('00 7fffffffff0f', /too large/);
  });

  test('strings that are longer than the block', () => {
    refused('0005 6161', /beyond its header block/);
    refused('000161 7f80808004', /beyond|too large/);
    refused('40', /ends inside a field/);
    refused('0001 61', /ends inside a field/);
  });

  test('Huffman strings with EOS, with padding of more than seven bits, or of other bits than ones', () => {
    refused('0001 61 84 ffff fffc', /EOS/);
    refused('0001 61 82 1fff', /padding/); // "a" and eleven ones
    refused('0001 61 81 18', /padding/); // "a" and zeros
    assert.equal(decode('0001 61 81 1f').fields[0]!.value.toString(), 'a');
    assert.equal(decode('0001 61 80').fields[0]!.value.length, 0);
  });

  test('a table size update above the limit, or behind a field', () => {
    refused('3fe21f 82', /above the limit/); // 4,097
    refused('82 20', /inside a header block/);
    assert.equal(decode('20 3fe11f 82').fields.length, 1); // 0, then 4,096: both at the start
  });
});

test('an entry larger than the table empties it and is a field all the same', () => {
  const decoder = new HpackDecoder(64);
  decode('4001 61 01 62', decoder); // a: b, 34 bytes
  assert.equal(decoder.tableBytes, 34);
  const large = Buffer.concat([Buffer.from('4001617f0b', 'hex'), Buffer.alloc(138, 0x78)]); // 127 + 11
  assert.equal(decoder.decode(large, 16_384).fields[0]!.value.length, 138);
  assert.equal(decoder.tableBytes, 0);
  assert.throws(() => decode('be', decoder), Http2Error);
});

test('a list above its limit is told, and the table stays in step', () => {
  const decoder = new HpackDecoder(4_096);
  const value = Buffer.alloc(3_000, 0x78);
  const entry = Buffer.concat([Buffer.from('4001617ff116', 'hex'), value]); // 127 + 113 + 22·128 = 3,056
  assert.throws(() => decoder.decode(entry, 16_384), /beyond its header block/);

  const other = new HpackDecoder(4_096);
  const bomb = Buffer.concat([
    Buffer.from('4001617fb916', 'hex'), // 127 + 57 + 22·128 = 3,000
    value,
    Buffer.alloc(16_000, 0xbe), // 16,000 references to it: 48 MB, if they were copied
    Buffer.from('4001620163', 'hex'),
  ]);
  const before = process.memoryUsage().rss;
  const decoded = other.decode(bomb, 16_384);
  assert.equal(decoded.tooLarge, true);
  assert.ok(decoded.fields.length <= 6, `${decoded.fields.length} fields kept`);
  assert.ok(process.memoryUsage().rss - before < 16 << 20);
  assert.equal(decode('be', other).fields[0]!.name, 'b');
});

test('a block tells whether it left the table alone', () => {
  const decoder = new HpackDecoder(4_096);
  assert.equal(decode('82', decoder).unchanged, true);
  assert.equal(decode('0001 61 01 62', decoder).unchanged, true);
  assert.equal(decode('4001 61 01 62', decoder).unchanged, false);
  assert.equal(decode('be', decoder).unchanged, true);
  assert.equal(decode('20', decoder).unchanged, false);
});

test('what we encode is decoded to the same, and leaves the table of the peer alone', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/), fc.stringMatching(/^[ -~]{0,200}$/))),
      (fields) => {
        const { fields: decoded, unchanged } = new HpackDecoder(4_096).decode(encodeHeaders(fields), 1 << 20);
        assert.equal(unchanged, true);
        assert.deepEqual(
          decoded.map(({ name, value }) => [name, value.toString('latin1')]),
          fields,
        );
      },
    ),
  );
});

test('random bytes are decoded or refused with COMPRESSION_ERROR, never anything else', () => {
  const decoder = { current: new HpackDecoder(4_096) };
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        decoder.current.decode(Buffer.from(bytes), 16_384);
      } catch (error) {
        assert.ok(error instanceof Http2Error && error.code === ErrorCode.COMPRESSION_ERROR, String(error));
        decoder.current = new HpackDecoder(4_096);
      }
      assert.ok(decoder.current.tableBytes <= 4_096);
    }),
    { numRuns: 20_000 },
  );
});
