import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CredentialError } from '../../../src/lib/errors.ts';
import { parseExecCredential } from '../../../src/source/exec-credential.ts';

const credential = (status: unknown, patch: object = {}) =>
  JSON.stringify({ apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential', status, ...patch });

test('token and end are read, and a credential without end has none', () => {
  const { token, expiresAt } = parseExecCredential(
    credential({ token: 'canary', expirationTimestamp: '2026-11-25T12:00:00Z' }),
  );
  assert.deepEqual([token.reveal(), expiresAt], ['canary', Date.UTC(2026, 10, 25, 12)]);
  assert.equal(parseExecCredential(credential({ token: 'x' })).expiresAt, undefined);
});

test('v1beta1, which older plugins print, has the same shape', () => {
  const text = credential({ token: 'x' }, { apiVersion: 'client.authentication.k8s.io/v1beta1' });
  assert.equal(parseExecCredential(text).token.reveal(), 'x');
});

describe('anything else is refused with its reason and never quoted', () => {
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ['plain text', 'canary', /not JSON/],
    ['two documents', `${credential({ token: 'canary' })}${credential({ token: 'canary' })}`, /not JSON/],
    ['a list', '["canary"]', /the output is no object/],
    ['another kind', credential({ token: 'canary' }, { kind: 'canary' }), /kind is not ExecCredential/],
    [
      'another version',
      credential({ token: 'canary' }, { apiVersion: 'v1' }),
      /apiVersion is not client\.auth/,
    ],
    ['no status', credential(undefined), /status is no object/],
    ['no token', credential({ clientCertificateData: 'canary' }), /status\.token is missing.*certificates/],
    ['a number as end', credential({ token: 'canary', expirationTimestamp: 1 }), /no RFC 3339 time/],
    [
      'an end without zone',
      credential({ token: 'canary', expirationTimestamp: '2026-11-25T12:00:00' }),
      /no RFC 3339 time/,
    ],
    ['a token twice', '{"status":{"token":"canary","token":"b"}}', /twice/],
  ];
  for (const [what, text, message] of cases) {
    test(what, () => {
      assert.throws(
        () => parseExecCredential(text),
        (error) =>
          error instanceof CredentialError && message.test(error.message) && !/canary/.test(error.message),
      );
    });
  }
});
