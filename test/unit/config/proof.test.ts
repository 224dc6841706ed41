import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OutboundConfig } from '../../../src/config/config.ts';
import { parseConfig } from '../../../src/config/parse.ts';
import { ConfigError } from '../../../src/lib/errors.ts';

const plain = { static: { value: { env: 'KEY' } } };
const bound = {
  client_credentials: {
    token_endpoint: 'https://idp.example.com/token',
    client_id: 'c',
    client_secret: { env: 'SECRET' },
    dpop: true,
  },
};
const sign = { key: { file: 'key.pem' }, key_id: 'k', algorithm: 'ed25519' };
const upstream_url = 'https://api.example.com';

function policyOf(source: object, policy: object): OutboundConfig {
  const text = JSON.stringify({
    version: 1,
    listen: { check: 'unix:///c.sock' },
    sources: { a: source },
    outbound: [{ name: 'p', match: { hosts: ['a.example.com'] }, inject: { source: 'a' }, ...policy }],
  });
  return parseConfig(text, '/etc/bearerd/bearerd.yaml').outbound[0]!;
}

function problemsOf(source: object, policy: object): readonly string[] {
  try {
    policyOf(source, policy);
    return [];
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.problems.map(({ path, message }) => `${path}: ${message}`);
  }
}

test('a signature has its defaults, the injected header among what it covers', () => {
  const { proof } = policyOf(plain, { upstream_url, sign });
  assert.deepEqual(proof, {
    upstreamUrl: 'https://api.example.com',
    dpop: false,
    sign: {
      key: { from: 'file', path: '/etc/bearerd/key.pem' },
      keyId: 'k',
      algorithm: 'ed25519',
      components: ['@method', '@target-uri', '@authority', 'authorization', 'content-digest'],
      label: 'sig1',
      expiresAfterMs: undefined,
      tag: undefined,
    },
  });
});

test('a token that is bound goes with the scheme DPoP, unless a prefix says otherwise', () => {
  const prefixOf = (inject: object) =>
    policyOf(bound, { upstream_url, inject: { source: 'a', ...inject } }).inject.headers[0]?.prefix;
  assert.equal(prefixOf({}), 'DPoP ');
  assert.equal(prefixOf({ header: 'x-token' }), '');
  assert.equal(policyOf(bound, { upstream_url }).proof?.dpop, true);
  assert.equal(policyOf(plain, {}).proof, undefined);
});

test('a default port and the case of the host are not part of upstream_url', () => {
  const of = (url: string) => policyOf(plain, { upstream_url: url, sign }).proof?.upstreamUrl;
  assert.equal(of('https://API.example.com:443/'), 'https://api.example.com');
  assert.equal(of('http://api.example.com:8080'), 'http://api.example.com:8080');
});

test('what does not fit is named', () => {
  const rows: readonly [object, object, RegExp][] = [
    [plain, { sign }, /^outbound\[0\]\.sign: upstream_url is missing/],
    [bound, {}, /^outbound\[0\]: upstream_url is missing.*DPoP/],
    [plain, { upstream_url }, /^outbound\[0\]\.upstream_url: is for DPoP and sign; there is neither/],
    [plain, { sign, upstream_url: 'https://a/v1' }, /scheme and host only/],
    [plain, { sign, upstream_url: 'https://u:p@a' }, /user information has no place/],
    [plain, { sign, upstream_url: 'a.example.com' }, /expected https:\/\/HOST/],
    [
      plain,
      { upstream_url, sign: { ...sign, components: ['@body'] } },
      /expected a header or one of @method/,
    ],
    [plain, { upstream_url, sign: { ...sign, label: 'Sig 1' } }, /sign\.label: expected lower-case/],
    [
      plain,
      { upstream_url, sign: { ...sign, key: { inline: 'x' } } },
      /sign\.key\.inline: .*mode: development/,
    ],
  ];
  for (const [source, policy, message] of rows) {
    const problems = problemsOf(source, policy);
    assert.equal(problems.length, 1, JSON.stringify(problems));
    assert.match(problems[0]!, message);
  }
});
