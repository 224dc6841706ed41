import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import * as fc from 'fast-check';
import { BackWriter } from '../../../src/doors/back-writer.ts';

interface Message {
  readonly texts: readonly string[];
  readonly number: number;
  readonly inner: readonly Message[];
}

const text = fc
  .array(fc.integer({ min: 0x20, max: 0x7e }), { maxLength: 300 })
  .map((codes) => String.fromCharCode(...codes));
const messageOf = (inner: fc.Arbitrary<readonly Message[]>): fc.Arbitrary<Message> =>
  fc.record({
    texts: fc.array(text, { maxLength: 4 }),
    number: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
    inner,
  });
const leaf = messageOf(fc.constant([]));
const message = messageOf(fc.array(messageOf(fc.array(leaf, { maxLength: 3 })), { maxLength: 3 }));

function forwards(w: BinaryWriter, { texts, number, inner }: Message): BinaryWriter {
  for (const one of texts) w.tag(1, 2).string(one);
  w.tag(2, 0).uint32(number);
  for (const one of inner) forwards(w.tag(300, 2).fork(), one).join();
  return w;
}

function backwards(w: BackWriter, { texts, number, inner }: Message): void {
  for (const one of [...inner].reverse()) {
    const end = w.end();
    backwards(w, one);
    w.open(300, end);
  }
  w.uint(2, number);
  for (const one of [...texts].reverse()) w.string(1, one);
}

test('what is written backwards is what the usual writer writes', () => {
  const writer = new BackWriter();
  fc.assert(
    fc.property(message, (sample) => {
      writer.reset();
      backwards(writer, sample);
      assert.deepEqual(
        Buffer.from(writer.finish()),
        Buffer.from(forwards(new BinaryWriter(), sample).finish()),
      );
    }),
    { numRuns: 300 },
  );
});

test('it grows with what it is given, and what it gave stays as it is', () => {
  const writer = new BackWriter();
  writer.reset();
  writer.string(1, 'kept');
  const kept = writer.finish();
  writer.reset();
  for (let i = 0; i < 10; i++) writer.string(1, 'x'.repeat(16 << 10));
  assert.equal(writer.finish().length, 10 * (1 + 3 + (16 << 10)));
  assert.equal(Buffer.from(kept).toString('latin1'), '\n\u0004kept');
});
