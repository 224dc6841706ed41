// HPACK against two other implementations, on random header lists in random states of the table.
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import fc from 'fast-check';
import hpackJs from 'hpack.js';
import { HpackDecoder } from '../../../src/http2/hpack/decoder.ts';
import { encodeHeaders } from '../../../src/http2/hpack/encode.ts';
import { pythonPackage } from '../../../tools/parts/python.ts';

const run = promisify(execFile);
const ORACLE = join(import.meta.dirname, '../../support/hpack-oracle.py');
const MAX_LIST = 1 << 20;

type Fields = readonly (readonly [string, string])[];

const plain = (fields: readonly { name: string; value: Buffer }[]): Fields =>
  fields.map(({ name, value }) => [name, value.toString('latin1')] as const);

test("blocks of Python's hpack, 200 connections of 40 blocks, are read as they were meant", async (t) => {
  const env = { ...process.env, PYTHONPATH: await pythonPackage('hpack') };
  const seed = Math.floor(Math.random() * 1e9);
  t.diagnostic(`seed ${seed}`);
  const { stdout } = await run('python3', [ORACLE, 'encode', String(seed), '200', '40'], {
    env,
    maxBuffer: 512 << 20,
  });
  let blocks = 0;
  for (const line of stdout.trimEnd().split('\n')) {
    const decoder = new HpackDecoder(4_096);
    for (const { block, fields } of JSON.parse(line) as { block: string; fields: Fields }[]) {
      assert.deepEqual(plain(decoder.decode(Buffer.from(block, 'hex'), MAX_LIST).fields), fields);
      blocks++;
    }
  }
  assert.equal(blocks, 8_000);
});

const lists = fc.sample(
  fc.array(fc.tuple(fc.stringMatching(/^[a-z][a-z0-9-]{0,30}$/), fc.stringMatching(/^[ -~]{0,300}$/)), {
    minLength: 1,
  }),
  500,
);

test("our blocks are read by Python's hpack and by hpack.js as they were meant", async () => {
  const env = { ...process.env, PYTHONPATH: await pythonPackage('hpack') };
  const blocks = lists.map((list) => encodeHeaders(list));
  const input = blocks.map((block) => `${block.toString('hex')}\n`).join('');
  const { stdout, stderr } = spawnSync('python3', [ORACLE, 'decode'], { env, input, maxBuffer: 64 << 20 });
  const read = stdout
    .toString()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(read, lists, stderr.toString());

  const decompressor = hpackJs.decompressor.create({ table: { size: 4_096 } });
  for (const [i, block] of blocks.entries()) {
    decompressor.write(block);
    decompressor.execute();
    const fields: Fields = Array.from(lists[i]!, () => decompressor.read()!).map((f) => [f.name, f.value]);
    assert.deepEqual(fields, lists[i]);
  }
});

test('blocks of hpack.js, 200 connections of 40 blocks, are read as they were meant', () => {
  for (let connection = 0; connection < 200; connection++) {
    const compressor = hpackJs.compressor.create({ table: { size: 4_096 } });
    const decoder = new HpackDecoder(4_096);
    for (let i = 0; i < 40; i++) {
      const list = lists[(connection * 40 + i) % lists.length]!.slice(0, 12);
      compressor.write(
        list.map(([name, value], at) => ({
          name,
          value,
          incremental: at % 3 !== 0,
          neverIndex: at % 5 === 0,
        })),
      );
      const block: Buffer = compressor.read();
      assert.deepEqual(plain(decoder.decode(block, MAX_LIST).fields), list);
    }
  }
});
