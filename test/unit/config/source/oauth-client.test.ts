import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { problemsOf, sourceOf } from '../../../support/source-config.ts';

const client = (lines: string) => `client_credentials:
  issuer: https://idp.example.com
  client_id: checkout
${lines.replaceAll(/^/gm, '  ')}`;

describe('how the client proves itself', () => {
  test('is auto by default, with paths made absolute and one secret as a list', () => {
    const source = sourceOf(
      client(`client_secret: { file: secret }
private_key_jwt: { key: { file: key.pem }, kid: k1 }
client_certificate: { certificate: tls.crt, private_key: /run/tls.key }
client_assertion: { file: token }`),
    );
    assert.ok(source.type === 'client_credentials');
    assert.equal(source.clientAuth, 'auto');
    assert.deepEqual(source.clientSecrets, [{ from: 'file', path: '/etc/bearerd/secret' }]);
    assert.deepEqual(source.privateKeyJwt, {
      key: { from: 'file', path: '/etc/bearerd/key.pem' },
      kid: 'k1',
      alg: undefined,
      audience: undefined,
    });
    assert.deepEqual(source.clientCertificate, {
      certificate: '/etc/bearerd/tls.crt',
      privateKey: '/run/tls.key',
    });
    assert.deepEqual(source.clientAssertion, { type: 'jwt-bearer', file: '/etc/bearerd/token' });
  });

  test('two secrets keep their order', () => {
    const source = sourceOf(client('client_secret: [{ env: NEW }, { env: OLD }]'));
    assert.ok(source.type === 'client_credentials');
    assert.deepEqual(source.clientSecrets, [
      { from: 'env', name: 'NEW' },
      { from: 'env', name: 'OLD' },
    ]);
  });

  const bad: readonly (readonly [what: string, lines: string, problem: RegExp])[] = [
    [
      'nothing to prove itself with',
      'scope: [a]',
      /^client_credentials: expected at least one of client_secret, private_key_jwt, client_assertion, client_certificate; client_auth: none/,
    ],
    [
      'a method without what it needs',
      'client_auth: private_key_jwt\nclient_secret: { env: A }',
      /^client_credentials\.client_auth: client_auth: private_key_jwt needs private_key_jwt/,
    ],
    [
      'none beside a secret',
      'client_auth: none\nclient_secret: { env: A }',
      /client_auth: none uses no client_secret/,
    ],
    [
      'three secrets',
      'client_secret: [{ env: A }, { env: B }, { env: C }]',
      /client_secret: expected at most 2/,
    ],
    ['a bare secret', 'client_secret: hunter2', /client_secret: expected a reference to a secret/],
    [
      'an inline key in production',
      'private_key_jwt: { key: { inline: hunter2 } }',
      /private_key_jwt\.key\.inline: a secret in the file itself needs mode: development/,
    ],
    [
      'an unknown alg',
      'private_key_jwt: { key: { env: A }, alg: HS256 }',
      /alg: expected ES256, RS256, PS256 or EdDSA/,
    ],
    ['half a certificate', 'client_certificate: { certificate: a.pem }', /private_key: missing/],
    [
      'a mistyped method',
      'client_auth: client_secret_basci\nclient_secret: { env: A }',
      /did you mean client_secret_basic/,
    ],
  ];
  for (const [what, lines, problem] of bad) {
    test(`${what} is told`, () => {
      const problems = problemsOf(client(lines));
      assert.ok(
        problems.some((one) => problem.test(one)),
        problems.join('\n'),
      );
      assert.doesNotMatch(problems.join('\n'), /hunter2/);
    });
  }
});

describe('jwt_bearer', () => {
  const grant = (lines: string) => `jwt_bearer:
  issuer: https://idp.example.com
  client_id: checkout
  client_auth: none
${lines.replaceAll(/^/gm, '  ')}`;

  test('takes an assertion from a file or signs one for 60 s', () => {
    const file = sourceOf(grant('assertion: { file: token }'));
    assert.ok(file.type === 'jwt_bearer');
    assert.deepEqual(file.assertion, { from: 'file', path: '/etc/bearerd/token' });
    const signed = sourceOf(
      grant(
        'assertion: { signed: { key: { file: key.pem }, issuer: me, subject: robot, claims: { a: [1] } } }',
      ),
    );
    assert.ok(signed.type === 'jwt_bearer' && signed.assertion.from === 'key');
    assert.equal(signed.assertion.lifetimeMs, 60_000);
    assert.deepEqual(signed.assertion.claims, { a: [1] });
  });

  test('a claim with a setting of its own and no assertion at all are told', () => {
    const signed = 'key: { env: K }, issuer: me, subject: robot';
    assert.match(
      problemsOf(grant(`assertion: { signed: { ${signed}, claims: { exp: 1 } } }`)).join('\n'),
      /assertion\.signed\.claims\.exp: exp is set by itself or by a setting beside claims/,
    );
    assert.match(
      problemsOf(grant('assertion: {}')).join('\n'),
      /expected exactly one of file and signed, got none/,
    );
  });
});
