import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compilePolicies } from '../../../src/policy/compile.ts';
import { configOf, type PolicySketch } from '../../support/generate-config.ts';

function matcher(
  policies: readonly PolicySketch[],
  ambiguousPath: 'no_match' | 'deny' | 'exact_bytes' = 'no_match',
) {
  const table = compilePolicies(configOf(policies, { ambiguousPath }));
  return (host: string, path = '/', method = 'GET', scheme = 'http') => {
    const found = table.match(host, method, path, scheme);
    return typeof found === 'object' ? found.name : found;
  };
}

const prefix = (value: string) => ({ kind: 'prefix', value }) as const;

describe('hosts', () => {
  const match = matcher([
    { name: 'exact', hosts: ['orders.example.com'] },
    { name: 'port', hosts: ['api.example.com:8443'] },
    { name: 'wild', hosts: ['*.example.com'] },
  ]);
  for (const [host, expected] of [
    ['orders.example.com', 'exact'],
    ['ORDERS.example.com.', 'exact'],
    ['orders.example.com:1234', 'exact'],
    ['api.example.com:08443', undefined],
    ['api.example.com:8443', 'port'],
    ['api.example.com', 'wild'],
    ['a.b.example.com', 'wild'],
    ['example.com', undefined],
    ['evil-example.com', undefined],
    ['orders.example.com@evil.net', undefined],
    ['orders..example.com', undefined],
    ['örders.example.com', undefined],
    ['', undefined],
  ] as const) {
    test(`${host || 'an empty host'} is ${expected ?? 'nobody’s'}`, () =>
      assert.equal(match(host), expected));
  }

  test('a missing port counts as the scheme’s', () => {
    const secure = matcher([{ name: 's', hosts: ['x.example.com:443'] }]);
    assert.equal(secure('x.example.com', '/', 'GET', 'https'), 's');
    assert.equal(secure('x.example.com', '/', 'GET', 'http'), undefined);
  });
});

describe('paths', () => {
  const match = matcher([
    { name: 'v1', hosts: ['h'], paths: [prefix('/v1/')] },
    { name: 'exact', hosts: ['h'], paths: [{ kind: 'exact', value: '/health' }] },
    { name: 'regex', hosts: ['h'], paths: [{ kind: 'regex', value: '/u/[0-9]+' }] },
  ]);
  for (const [path, expected] of [
    ['/v1', 'v1'],
    ['/v1/x?y=/health', 'v1'],
    ['/v10', undefined],
    ['/health', 'exact'],
    ['/health/', undefined],
    ['/u/12', 'regex'],
    ['/u/12/x', undefined],
    ['/v1/../admin', undefined],
    ['/v1//x', undefined],
    ['/v1/%2e%2e/x', undefined],
    ['/v1/a%2Fb', undefined],
    ['/v1/a%5cb', undefined],
    ['/v1/a\\b', undefined],
    ['/v1/;x', undefined],
    ['/v1/\0', undefined],
    ['*', undefined],
    ['', undefined],
  ] as const) {
    test(`${JSON.stringify(path)} is ${expected ?? 'nobody’s'}`, () =>
      assert.equal(match('h', path), expected));
  }

  test('an ambiguous path matches no later rule of its host either, and is denied where asked', () => {
    const policies: PolicySketch[] = [
      { name: 'paths', hosts: ['h'], paths: [prefix('/v1/')] },
      { name: 'rest', hosts: ['h'] },
    ];
    assert.equal(matcher(policies)('h', '/x'), 'rest');
    assert.equal(matcher(policies)('h', '/v1/../x'), undefined);
    assert.equal(matcher(policies, 'deny')('h', '/v1/../x'), 'ambiguous_path');
    assert.equal(matcher(policies, 'exact_bytes')('h', '/v1/../x'), 'paths');
  });
});

test('the first policy in the file wins, and methods are compared exactly', () => {
  const match = matcher([
    { name: 'first', hosts: ['h'], methods: ['POST'] },
    { name: 'second', hosts: ['*.h', 'h'] },
  ]);
  assert.equal(match('h', '/', 'POST'), 'first');
  assert.equal(match('h', '/', 'GET'), 'second');
});
