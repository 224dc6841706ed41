import assert from 'node:assert/strict';
import { test } from 'node:test';
import { problemsOf, sourceOf } from '../../../support/source-config.ts';

const GOOD = `http:
  url: https://api.example.com/token
  secrets: { key: { file: key } }
  headers: { X-Key: "\${key}" }`;

test('the request, its secrets and the pointers are read', () => {
  const source = sourceOf(`${GOOD}
  body: { json: { a: ["\${key}"] } }
  expires_at: /end`);
  assert.ok(source.type === 'http');
  assert.equal(source.method, 'POST');
  assert.deepEqual(source.headers, { 'x-key': '${key}' });
  assert.deepEqual(source.secrets, { key: { from: 'file', path: '/etc/bearerd/key' } });
  assert.deepEqual(source.body, { kind: 'json', value: { a: ['${key}'] } });
  assert.deepEqual([source.token, source.end], ['/access_token', { kind: 'expires_at', pointer: '/end' }]);
});

const BAD: readonly (readonly [string, string, RegExp])[] = [
  [
    'a place without a secret',
    GOOD.replace('${key}', '${kye}'),
    /headers\.x-key.*no entry of secrets has the name "kye"/i,
  ],
  [
    'a secret without a place',
    GOOD.replace('${key}', 'x'),
    /secrets\.key: no header and no body has a place \$\{key\}/,
  ],
  ['plain http beyond loopback', GOOD.replace('https:', 'http:'), /url: expected https:/],
  [
    'plain http to loopback in production',
    GOOD.replace('https://api.example.com', 'http://127.0.0.1:1'),
    /needs mode: development/,
  ],
  ['a body of GET', `${GOOD}\n  method: GET\n  body: { form: { a: b } }`, /body: a GET has no body/],
  ['two bodies', `${GOOD}\n  body: { form: { a: b }, json: 1 }`, /exactly one of json and form/],
  ['two ends', `${GOOD}\n  lifetime: /a\n  expires_at: /b`, /at most one of lifetime and expires_at/],
  ['a header of the connection', GOOD.replace('X-Key', 'Host'), /steers the connection/],
  [
    'an inline secret',
    GOOD.replace('{ file: key }', '{ inline: canary }'),
    /secrets\.key\.inline: .*needs mode: development/,
  ],
  ['a password in the address', GOOD.replace('//api', '//u:canary@api'), /use secrets and headers/],
];
for (const [what, text, expected] of BAD) {
  test(`${what} is refused with its place, and no value is quoted`, () => {
    const problems = problemsOf(text).join('\n');
    assert.match(problems, expected);
    assert.doesNotMatch(problems, /canary/);
  });
}
