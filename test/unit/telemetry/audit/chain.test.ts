import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Secret } from '../../../../src/lib/secret.ts';
import { CHAIN_START, type ChainHead, sealRecord } from '../../../../src/telemetry/audit/chain.ts';
import { verifyChain } from '../../../../src/telemetry/audit/verify.ts';

const key = new Secret('a key of thirty-two bytes or more');

function chain(count: number): { lines: string[]; head: ChainHead } {
  const lines: string[] = [];
  let head = CHAIN_START;
  for (let i = 0; i < count; i++) {
    const sealed = sealRecord(
      { event: 'injected', policy: 'orders', count: i, mac: 'not the MAC' },
      head,
      key,
    );
    lines.push(sealed.line);
    head = sealed.head;
  }
  return { lines, head };
}

async function* numbered(lines: readonly string[]) {
  for (const [i, text] of lines.entries()) yield { file: 'audit.jsonl', line: i + 1, text };
}

const verify = (lines: readonly string[], head?: ChainHead, with_ = key) =>
  verifyChain(numbered(lines), with_, head);

describe('a chain of audit records', () => {
  test('is whole as it was written, and each line is JSON', async () => {
    const { lines, head } = chain(20);
    const report = await verify(lines, head);
    assert.deepEqual(report, {
      records: 20,
      first: 1,
      last: head,
      faults: [],
      faultsLeftOut: 0,
      headHolds: true,
    });
    for (const line of lines) assert.equal((JSON.parse(line) as { policy: string }).policy, 'orders');
  });

  test('shows a terminal nothing that it would obey, and holds as it was shown', async () => {
    const path = '/\x9b2J\u202e\u2028';
    const { line } = sealRecord({ event: 'denied', path }, CHAIN_START, key);
    assert.doesNotMatch(line, /\p{C}|\p{Zl}/u);
    assert.equal((JSON.parse(line) as { path: string }).path, path);
    assert.deepEqual((await verify([line])).faults, []);
  });

  test('tells a MAC of the right length in characters and the wrong one in bytes, and goes on', async () => {
    const { lines } = chain(3);
    lines[1] = lines[1]!.replace(/"mac":"[\w-]{43}"\}$/, `"mac":"${'é'.repeat(43)}"}`);
    const { records, faults } = await verify(lines);
    assert.equal(records, 3);
    assert.deepEqual(faults[0], { file: 'audit.jsonl', line: 2, fault: 'wrong_mac' });
  });

  test('of a file that is none of ours only the first faults are kept', async () => {
    const { faults, faultsLeftOut } = await verify(Array.from({ length: 1_500 }, () => 'x'));
    assert.deepEqual([faults.length, faultsLeftOut], [1_000, 500]);
  });

  test('may begin in the middle, when older files were removed after their time', async () => {
    const { lines } = chain(20);
    const report = await verify(lines.slice(7));
    assert.deepEqual([report.first, report.faults.length], [8, 0]);
  });

  const tampered: [string, (lines: string[]) => string[], number, string][] = [
    ['a changed field', (l) => l.with(4, l[4]!.replace('"count":4', '"count":5')), 5, 'wrong_mac'],
    ['a removed record', (l) => l.toSpliced(4, 1), 5, 'gap'],
    ['two records exchanged', (l) => [...l.slice(0, 4), l[5]!, l[4]!, ...l.slice(6)], 5, 'gap'],
    ['a record written twice', (l) => l.toSpliced(4, 0, l[3]!), 5, 'gap'],
    ['a line of something else', (l) => l.with(4, '{"seq":5}'), 5, 'not_a_record'],
    [
      'a record of another chain with the same number',
      (l) => {
        const other = sealRecord({ event: 'x' }, { seq: 4, mac: 'm'.repeat(43) }, key).line;
        return l.with(4, other);
      },
      5,
      'not_after_the_last',
    ],
  ];
  for (const [what, change, line, fault] of tampered) {
    test(`shows ${what}`, async () => {
      const { faults } = await verify(change(chain(10).lines));
      assert.deepEqual(faults[0], { file: 'audit.jsonl', line, fault });
    });
  }

  test('tells one changed line once, not each line after it', async () => {
    const { lines } = chain(10);
    const { faults } = await verify(lines.with(4, lines[4]!.replace('orders', 'others')));
    assert.equal(faults.length, 1);
  });

  test('shows a cut tail against a head that was kept elsewhere', async () => {
    const { lines, head } = chain(10);
    const report = await verify(lines.slice(0, 8), head);
    assert.deepEqual([report.faults.length, report.headHolds], [0, false]);
  });

  test('does not open with another key', async () => {
    const { faults } = await verify(chain(3).lines, undefined, new Secret('another'));
    assert.deepEqual(
      faults.map(({ fault }) => fault),
      ['wrong_mac', 'wrong_mac', 'wrong_mac'],
    );
  });
});
