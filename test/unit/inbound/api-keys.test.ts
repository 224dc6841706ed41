import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiKeys } from '../../../src/inbound/api-keys.ts';

const HASH = 'a'.repeat(64);

test('what is wrong with a file of API keys is told with its place and what was expected, and no value', () => {
  const rows: readonly (readonly [text: string, message: RegExp])[] = [
    ['keys: [', /^no YAML at line 1, column \d+$/],
    ['- a', /^the file: .*expected object/],
    ['keys: [{ id: a, sha256: hunter2 }]', /^keys\[0\]\.sha256: expected 64 hexadecimal digits .*sha256sum/],
    [`keys: [{ id: a, sha256: ${HASH}, state: in_use }]`, /^keys\[0\]\.state: .*"generated"\|"active"/],
    [
      `keys: [{ id: a, sha256: ${HASH}, state: active, expires_at: 2026-01-31 }]`,
      /^keys\[0\]\.expires_at: expected a time such as 2026/,
    ],
    [
      `keys: [{ id: a, hunter2, sha256: ${HASH}, state: active }]`,
      /^keys\[0\]: expected no other keys than id, sha256, state/,
    ],
    [
      `keys: [{ id: a, sha256: ${HASH}, state: active, rate_limit: { requests: 1, per: 1s } }]`,
      /^keys\[0\]\.rate_limit: expected no other keys than requests, per_seconds, burst$/,
    ],
  ];
  for (const [text, message] of rows) {
    const taken = () => new ApiKeys().take(text, 0);
    assert.throws(taken, ({ message: told }: Error) => message.test(told) && !/hunter2/.test(told), text);
  }
});
