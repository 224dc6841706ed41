import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPendingCall } from '../../../src/server/pending-call.ts';

test('a signal asked for before the caller gives up is aborted then', () => {
  const call = createPendingCall(200);
  assert.equal(call.timeoutMs, 200);
  const { signal } = call;
  assert.equal(signal.aborted, false);
  call.abort();
  assert.equal(signal.aborted, true);
});

test('a signal asked for after the caller gave up is aborted already', () => {
  const call = createPendingCall(undefined);
  call.abort();
  assert.equal(call.signal.aborted, true);
});
