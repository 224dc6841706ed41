import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Revocations } from '../../../src/inbound/revocations.ts';
import { createVerifiedToken } from '../../../src/inbound/verified-token.ts';

test('what one list says of a token is not taken for the word of the next list', () => {
  const origin = { kind: 'api_key', issuer: -1, rolesClaim: ['roles'], leewayMs: 0, key: undefined } as const;
  // As of an API key, which outlives a configuration.
  const token = createVerifiedToken({ sub: 'globex' }, origin)!;
  const [before, next] = [new Revocations(['idp']), new Revocations(['idp', 'other'])];
  before.replace([]);
  assert.equal(before.covers(token), false);
  next.replace([{ sub: 'globex' }]);
  assert.equal(next.covers(token), true);
});
