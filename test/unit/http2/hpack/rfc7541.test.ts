// Every example of RFC 7541, appendix C, byte for byte.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HpackDecoder } from '../../../../src/http2/hpack/decoder.ts';

interface Block {
  readonly hex: string;
  readonly fields: readonly string[];
  /** Of the dynamic table afterwards. */
  readonly tableBytes: number;
}

function decodeAll(tableBytes: number, blocks: readonly Block[]): void {
  const decoder = new HpackDecoder(tableBytes);
  for (const { hex, fields, tableBytes } of blocks) {
    const decoded = decoder.decode(Buffer.from(hex.replaceAll(' ', ''), 'hex'), 16_384);
    assert.deepEqual(
      decoded.fields.map(({ name, value }) => `${name}: ${value.toString('latin1')}`),
      fields,
    );
    assert.equal(decoder.tableBytes, tableBytes);
    assert.equal(decoded.tooLarge, false);
  }
}

describe('RFC 7541, appendix C.1: integers with a prefix of five bits, as sizes of the table', () => {
  /** Table size update, then an entry of `bytes` bytes. */
  function kept(update: string, bytes: number): number {
    const decoder = new HpackDecoder(4_096);
    const value = Buffer.alloc(bytes - 33, 0x78);
    const length = value.length - 127;
    const head = Buffer.from([0x40, 1, 0x61, 0x7f, (length & 0x7f) | 0x80, length >> 7]);
    decoder.decode(Buffer.concat([Buffer.from(update, 'hex'), head, value]), 16_384);
    return decoder.tableBytes;
  }

  test('C.1.1: 10 in the prefix alone', () => assert.equal(kept('2a', 300), 0));
  test('C.1.2: 1337 in three bytes', () => {
    assert.equal(kept('3f9a0a', 1_337), 1_337);
    assert.equal(kept('3f9a0a', 1_338), 0);
  });
  test('C.1.3: 42 where a byte begins', () => {
    const block = Buffer.concat([Buffer.from('0001612a', 'hex'), Buffer.alloc(42, 0x78)]);
    assert.equal(new HpackDecoder(4_096).decode(block, 16_384).fields[0]!.value.length, 42);
  });
});

describe('RFC 7541, appendix C.2: representations', () => {
  for (const [what, block] of [
    [
      'C.2.1 literal with indexing',
      {
        hex: '400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572',
        fields: ['custom-key: custom-header'],
        tableBytes: 55,
      },
    ],
    [
      'C.2.2 literal without indexing',
      { hex: '040c 2f73 616d 706c 652f 7061 7468', fields: [':path: /sample/path'], tableBytes: 0 },
    ],
    [
      'C.2.3 literal never indexed',
      { hex: '1008 7061 7373 776f 7264 0673 6563 7265 74', fields: ['password: secret'], tableBytes: 0 },
    ],
    ['C.2.4 indexed', { hex: '82', fields: [':method: GET'], tableBytes: 0 }],
  ] as const) {
    test(what, () => decodeAll(4_096, [block]));
  }
});

const REQUESTS = [
  [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com'],
  [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com', 'cache-control: no-cache'],
  [
    ':method: GET',
    ':scheme: https',
    ':path: /index.html',
    ':authority: www.example.com',
    'custom-key: custom-value',
  ],
];
const DATES = ['Mon, 21 Oct 2013 20:13:21 GMT', 'Mon, 21 Oct 2013 20:13:22 GMT'];
const LOCATION = 'location: https://www.example.com';
const RESPONSES = [
  [':status: 302', 'cache-control: private', `date: ${DATES[0]}`, LOCATION],
  [':status: 307', 'cache-control: private', `date: ${DATES[0]}`, LOCATION],
  [
    ':status: 200',
    'cache-control: private',
    `date: ${DATES[1]}`,
    LOCATION,
    'content-encoding: gzip',
    'set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1',
  ],
];

const blocks = (hex: readonly string[], fields: readonly string[][], tableBytes: readonly number[]) =>
  hex.map((h, i) => ({ hex: h, fields: fields[i]!, tableBytes: tableBytes[i]! }));

describe('RFC 7541, appendix C.3 to C.6: requests and responses on one connection', () => {
  test('C.3 requests without Huffman coding', () =>
    decodeAll(
      4_096,
      blocks(
        [
          '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
          '8286 84be 5808 6e6f 2d63 6163 6865',
          '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
        ],
        REQUESTS,
        [57, 110, 164],
      ),
    ));
  test('C.4 requests with Huffman coding', () =>
    decodeAll(
      4_096,
      blocks(
        [
          '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
          '8286 84be 5886 a8eb 1064 9cbf',
          '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
        ],
        REQUESTS,
        [57, 110, 164],
      ),
    ));
  test('C.5 responses without Huffman coding, with evictions from a table of 256 bytes', () =>
    decodeAll(
      256,
      blocks(
        [
          '4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
          '4803 3330 37c1 c0bf',
          '88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31',
        ],
        RESPONSES,
        [222, 222, 215],
      ),
    ));
  test('C.6 responses with Huffman coding, with evictions from a table of 256 bytes', () =>
    decodeAll(
      256,
      blocks(
        [
          '4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3',
          '4883 640e ffc1 c0bf',
          '88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07',
        ],
        RESPONSES,
        [222, 222, 215],
      ),
    ));
});
