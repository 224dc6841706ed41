// docs/outages.md says the numbers that the program has.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as numbers from '../../../src/credential/numbers.ts';

const page = readFileSync('docs/outages.md', 'utf8');
const seconds = (ms: number) => `${ms / 1_000} s`;

const ROWS: readonly (readonly [row: string, number: string])[] = [
  ['retry while a credential lives', `${numbers.BACKOFF.baseMs} ms to ${seconds(numbers.BACKOFF.maxMs)}`],
  ['probe with none left', `every ${numbers.PROBE_MS} ms`],
  ['a waiting call without an answer', `${seconds(numbers.HEDGE_AFTER_MS)}, after ${numbers.PROBE_MS} ms`],
  ['a request waits for a retry', `${numbers.PROBE_WAIT_MS} ms`],
  ['one call', seconds(numbers.CALL_MS)],
  ['what the provider refused', seconds(numbers.REJECTED_MS * (4 / 3))],
  ['`Retry-After`', `${numbers.honouredMs(1e12) / 60_000} min and a third`],
  ['`Retry-After`', `up to ${seconds(numbers.honouredMs(0))}`],
  ['breaker opens', `after ${numbers.FAILURES_TO_OPEN} failures`],
  ['calls at a time, background', `${numbers.BACKGROUND_IN_FLIGHT} an endpoint`],
  ['calls at a time, waiting', `${numbers.WAITING_IN_FLIGHT} an endpoint`],
  ['queue', `${numbers.QUEUE_LENGTH} calls, ${numbers.QUEUE_BYTES / 2 ** 20} MiB`],
  ['renewals an hour', `${numbers.LEAST_CAP_PER_HOUR} at least`],
];

test('docs/outages.md has the numbers of the program', () => {
  assert.equal(numbers.CAP_FACTOR, 10, 'ten times');
  assert.equal(numbers.honouredMs(3_000), 1_000, 'a third');
  for (const [row, number] of ROWS) {
    const line = page.split('\n').find((text) => text.startsWith(`| ${row}`));
    assert.ok(line, `no row "${row}"`);
    assert.ok(line.includes(number), `"${row}" should say ${number}`);
  }
  assert.ok(page.includes(`after ${numbers.REGION_PATIENCE_MS / 1_000} s, or at once`));
});
