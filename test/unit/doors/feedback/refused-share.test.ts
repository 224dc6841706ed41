import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Carried } from '../../../../src/doors/feedback/carried-ring.ts';
import type { RefusedAttempt } from '../../../../src/doors/feedback/refused-attempt.ts';
import { refusedShare } from '../../../../src/doors/feedback/refused-share.ts';
import { compilePolicies } from '../../../../src/policy/compile.ts';
import { configOf, type PolicySketch } from '../../../support/generate-config.ts';

const ATTEMPT: RefusedAttempt = {
  startedAt: 1,
  requestId: 'id-1',
  method: 'GET',
  scheme: 'http',
  authority: 'orders.example.com',
  path: '/v1/orders',
  originalPath: '',
  wwwAuthenticate: undefined,
  inTrailers: false,
  source: undefined,
  policy: undefined,
};
const WHOLE = { mode: 'enforce', percent: undefined, by: undefined } as const;
const HALF = { mode: 'enforce', percent: 50, by: 'x-user-id' } as const;

function share(
  carried: ReturnType<Carried['find']>,
  attempt: Partial<RefusedAttempt> = {},
  policy: Partial<PolicySketch> = {},
): string | undefined {
  const sketch = { name: 'orders', hosts: ['orders.example.com'], mode: HALF, ...policy };
  const found = refusedShare(
    { ...ATTEMPT, ...attempt },
    compilePolicies(configOf([sketch])),
    { find: () => carried },
    0,
  );
  return found?.share;
}

test('a refused request is of the share whose credential it carried, and of none where that cannot be told', () => {
  const ours = { source: 'orders', generation: 1 };
  assert.equal(share(ours), 'enforced');
  assert.equal(share('in_doubt'), 'enforced', 'some generation of it');
  assert.equal(share(undefined), 'withheld');
  assert.equal(share(undefined, { requestId: '' }), undefined, 'it is not remembered without an id');
  assert.equal(share(undefined, {}, { mode: WHOLE }), undefined, 'there is no other share');
  assert.equal(share(undefined, {}, { onFailure: 'pass' }), undefined, 'it may have found no credential');
  assert.equal(share({ source: 'before', generation: 1 }), undefined, 'of a version before');
  assert.equal(share(ours, { authority: 'other.example.com' }), undefined);
});

test('a demand for a nonce is no refusal of a DPoP credential', () => {
  const wwwAuthenticate = 'DPoP error="use_dpop_nonce"';
  const proof = { upstreamUrl: 'https://orders.example.com', dpop: true, sign: undefined };
  assert.equal(share({ source: 'orders', generation: 1 }, { wwwAuthenticate }, { proof }), undefined);
  assert.equal(share({ source: 'orders', generation: 1 }, { wwwAuthenticate }), 'enforced');
});
