import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parseConfig } from '../../../src/config/parse.ts';
import { ConfigError } from '../../../src/lib/errors.ts';

const parse = (cache: string, mode = 'production') =>
  parseConfig(
    `version: 1\nmode: ${mode}\nlisten: { xds: "unix:///x.sock" }\nshared_cache:\n${cache.replaceAll(/^/gm, '  ')}\n`,
    '/etc/bearerd/bearerd.yaml',
  ).sharedCache!;

const problems = (cache: string): string => {
  try {
    parse(cache);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.problems.map(({ line, path, message }) => `${line} ${path}: ${message}`).join('\n');
  }
  return 'none';
};

const good = `redis:
  address: redis.cache.svc
  tls: { ca_file: ca.pem }
  username: checkout
  password: { file: password }
tenant: checkout-prod
keys: [{ file: key-2 }, { file: key-1 }]`;

test('addresses, files and defaults', () => {
  const { redis, keys, perUserSources } = parse(good);
  assert.deepEqual(redis.nodes, [{ host: 'redis.cache.svc', port: 6379 }]);
  assert.equal(redis.tls?.caFile, '/etc/bearerd/ca.pem');
  assert.deepEqual(redis.password, { from: 'file', path: '/etc/bearerd/password' });
  assert.deepEqual(
    keys.map((key) => key.from === 'file' && key.path),
    ['/etc/bearerd/key-2', '/etc/bearerd/key-1'],
  );
  assert.deepEqual(perUserSources, []);
  assert.equal(parse(good.replace('{ ca_file: ca.pem }', 'true')).redis.tls?.caFile, undefined);
  const cluster = good.replace('address: redis.cache.svc', 'cluster: ["10.0.0.1:7000", "[::1]:7001"]');
  assert.deepEqual(parse(cluster).redis.nodes, [
    { host: '10.0.0.1', port: 7000 },
    { host: '::1', port: 7001 },
  ]);
  const sentinel = good.replace('address: redis.cache.svc', 'sentinel: { nodes: [a, b], master: main }');
  assert.deepEqual([parse(sentinel).redis.kind, parse(sentinel).redis.masterName], ['sentinel', 'main']);
});

test('each fault is told with its place and what to change', () => {
  const faults: readonly (readonly [string, string, RegExp])[] = [
    ['  tls: { ca_file: ca.pem }\n', '', /^6 shared_cache\.redis: expected tls beyond loopback/],
    ['  tls: { ca_file: ca.pem }', '  tls: false', /expected tls beyond loopback/],
    ['  password: { file: password }\n', '', /^6 shared_cache\.redis: expected password beside username/],
    ['address: redis.cache.svc', 'address: redis://x', /redis\.address: expected HOST:PORT such as/],
    ['address: redis.cache.svc', 'adress: x', /unknown key "adress"; did you mean address\?/],
    [
      '  address: redis.cache.svc',
      '  cluster: [a]\n  address: b',
      /exactly one of address, cluster and sentinel, got/,
    ],
    ['checkout-prod', 'Checkout', /tenant: expected a name of lower-case letters/],
    ['[{ file: key-2 }, { file: key-1 }]', '[]', /keys: expected at least one/],
    [
      '{ file: key-2 }',
      '{ inline: x }',
      /keys\[0\]\.inline: a secret in the file itself needs mode: development/,
    ],
    ['tenant:', 'per_user_sources: [orders]\ntenant:', /per_user_sources\[0\]: no source named "orders"/],
  ];
  for (const [from, to, problem] of faults) assert.match(problems(good.replace(from, to)), problem);
});

test('a source of single users stands for what its policies ask it for, too; one of everybody needs no mention', () => {
  const text = (listed: string) => `version: 1
listen: { check: "unix:///x.sock" }
sources:
  users:
    token_exchange:
      { token_endpoint: https://idp/t, client_id: c, client_secret: { env: S }, subject_token: { header: authorization } }
  orders: { client_credentials: { token_endpoint: https://idp/t, client_id: c, client_secret: { env: S } } }
outbound:
  - { name: p, match: { hosts: [a.example.com] }, inject: { source: users, audience: other } }
shared_cache:
  redis: { address: 127.0.0.1 }
  tenant: checkout
  keys: [{ env: KEY }]
  per_user_sources: [${listed}]
`;
  const config = parseConfig(text('users'), 'x.yaml');
  assert.deepEqual(config.sharedCache?.perUserSources, ['users', 'users:p']);
  assert.ok(config.sources.some(({ name }) => name === 'users:p'));
  const told = (listed: string) => {
    try {
      parseConfig(text(listed), 'x.yaml');
    } catch (error) {
      return (error as ConfigError).problems.map(({ path, message }) => `${path}: ${message}`).join('\n');
    }
    return 'none';
  };
  assert.equal(
    told('"users:p"'),
    'shared_cache.per_user_sources[0]: expected "users": it stands for what its policies ask it for, too',
  );
  assert.match(told('orders'), /\[0\]: orders has no tokens of single users/);
  assert.match(told('user'), /no source named "user"; did you mean users\?/);
});

test('the example of docs/shared-cache.md is a configuration', () => {
  const [, example] = /^```yaml\nshared_cache:\n([\s\S]*?)^```/m.exec(
    readFileSync('docs/shared-cache.md', 'utf8'),
  )!;
  const { redis, tenant, keys } = parse(example!.replaceAll(/^ {2}/gm, ''));
  assert.deepEqual([redis.kind, redis.username, tenant, keys.length], ['single', 'checkout', 'checkout', 1]);
});
