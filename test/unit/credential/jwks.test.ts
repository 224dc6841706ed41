import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PublicKey, TokenSource } from '../../../src/credential/credential.ts';
import { buildJwks } from '../../../src/credential/jwks.ts';

const source = (publicKeys?: readonly PublicKey[]): TokenSource => ({
  name: 'orders',
  type: 'signed_jwt',
  endpoint: 'x',
  syntax: 'b64token',
  perSubject: false,
  issue: () => Promise.reject(new Error('not asked')),
  ...(publicKeys === undefined ? {} : { publicKeys: () => publicKeys }),
});

test('keys of every source that signs stand there, the same key once', () => {
  const [a, b] = [{ kid: 'a' }, { kid: 'b' }];
  assert.deepEqual(buildJwks([source([a]), source(), source([a, b])]), { keys: [a, b] });
});

test('where no source signs there is no set; a signer without a key yet has an empty one', () => {
  assert.equal(buildJwks([source()]), undefined);
  assert.deepEqual(buildJwks([source([])]), { keys: [] });
});
