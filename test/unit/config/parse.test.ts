import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Config } from '../../../src/config/config.ts';
import { parseConfig } from '../../../src/config/parse.ts';
import { configJsonSchema } from '../../../src/config/schema.ts';
import { ConfigError } from '../../../src/lib/errors.ts';

const VALID = `version: 1
listen:
  check: unix:///run/bearerd/check.sock
  xds: unix:///run/bearerd/xds.sock
  health: 0.0.0.0:9193
sources:
  orders:
    required: true
    client_credentials:
      issuer: https://idp.example.com/realms/prod
      client_id: checkout
      client_secret: { file: secrets/checkout }
      scope: [orders.read]
  legacy: { static: { value: { env: LEGACY } } }
  projected: { file: { path: /var/run/secrets/tokens/api } }
outbound:
  - name: orders
    match: { hosts: [Orders.Prod., "*.orders.example.com:8443"], methods: [get], paths: [/v1/, { exact: /x }] }
    inject: { source: orders }
  - name: legacy
    match: { services: [legacy.prod] }
    inject: { source: legacy, header: X-Api-Key }
`;

const parse = (text: string): Config => parseConfig(text, '/etc/bearerd/bearerd.yaml');

function problems(text: string): readonly string[] {
  try {
    parse(text);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems.map(({ line, column, path, message }) => `${line}:${column} ${path}: ${message}`);
  }
  assert.fail('no problem found');
}

const changed = (from: string, to: string): string => {
  assert.ok(VALID.includes(from), from);
  return VALID.replace(from, to);
};

describe('a valid file', () => {
  test('is read with defaults, normalised and frozen', () => {
    const config = parse(VALID);
    const [orders, legacy] = config.outbound;
    assert.deepEqual(orders!.match.hosts, [
      { name: 'orders.prod', wildcard: false, port: undefined },
      { name: 'orders.example.com', wildcard: true, port: 8443 },
    ]);
    assert.deepEqual(orders!.match.methods, ['GET']);
    const header = (name: string, prefix: string) => [{ name, prefix, basic: undefined }];
    assert.deepEqual(orders!.inject, {
      source: 'orders',
      headers: header('authorization', 'Bearer '),
      query: undefined,
    });
    assert.deepEqual(legacy!.inject, {
      source: 'legacy',
      headers: header('x-api-key', ''),
      query: undefined,
    });
    assert.deepEqual(
      legacy!.match.hosts.map(({ name }) => name),
      ['legacy.prod', 'legacy.prod.svc', 'legacy.prod.svc.cluster.local'],
    );
    assert.equal(orders!.healOn, '401');
    assert.equal(legacy!.healOn, 'off', 'asking again renews no static key');
    assert.equal(config.maxWaitMs, 3_000);
    assert.ok(Object.isFrozen(config.outbound[0]!.match.hosts));
  });

  test('relative paths are relative to the file', () => {
    const [orders] = parse(VALID).sources;
    assert.ok(orders?.type === 'client_credentials');
    assert.deepEqual(orders.clientSecrets, [{ from: 'file', path: '/etc/bearerd/secrets/checkout' }]);
  });

  test('JSON is read too', () => {
    const json = { version: 1, listen: { xds: 'unix:///x.sock' }, sources: {}, outbound: [] };
    assert.equal(parse(JSON.stringify(json)).listen.xds.length, 1);
  });

  test('the JSON Schema names the same keys', () => {
    const { properties } = configJsonSchema() as { properties: object };
    for (const key of ['version', 'listen', 'sources', 'outbound', 'unmatched'])
      assert.ok(key in properties, key);
  });
});

const BAD: readonly (readonly [what: string, text: string, expected: RegExp])[] = [
  [
    'a mistyped key',
    changed('required:', 'requird:'),
    /^8:5 sources\.orders\.requird: unknown key "requird"; did you mean required\?/,
  ],
  [
    'an unknown source',
    changed('source: orders', 'source: order'),
    /outbound\[0\].inject.source: no source named "order"; did you mean orders/,
  ],
  [
    'an inline secret in production',
    changed('{ env: LEGACY }', '{ inline: hunter2 }'),
    /needs mode: development/,
  ],
  [
    'xds over TCP',
    changed('unix:///run/bearerd/xds.sock', '127.0.0.1:9192'),
    /any process of the pod could read tokens/,
  ],
  ['check beyond loopback', changed('unix:///run/bearerd/check.sock', '0.0.0.0:9191'), /listen\.check/],
  ['plain http to a provider', changed('https://idp', 'http://idp'), /expected https:/],
  ['a URL as host', changed('Orders.Prod.', 'https://orders.prod/v1'), /write orders\.prod instead of a URL/],
  ['a user in a host', changed('Orders.Prod.', 'a@orders.prod'), /no user or password/],
  ['a non-ASCII host', changed('Orders.Prod.', 'örders.prod'), /xn--/],
  ['a look-around', changed('{ exact: /x }', '{ regex: "(?=a)" }'), /RE2/],
  ['a query in a path', changed('/v1/', '"/v1/?a=b"'), /query is never matched/],
  ['a duplicate name', changed('name: legacy', 'name: orders'), /taken by outbound\[0\]/],
  ['a duplicate key', changed('version: 1', 'version: 1\nversion: 1'), /^2:1 .*second time/],
  [
    'a bare star in YAML',
    changed('"*.orders.example.com:8443"', '*.orders.example.com'),
    /must be in quotes/,
  ],
  ['an empty file', '', /the file is empty/],
  ['a reserved header', changed('X-Api-Key', 'Host'), /steers the connection/],
  [
    'never_stale without the check door',
    changed('  check: unix:///run/bearerd/check.sock\n', '').replace(
      'name: legacy',
      'name: legacy\n    never_stale: true',
    ),
    /never_stale: true needs listen\.check/,
  ],
  [
    'one socket twice',
    changed('xds: unix:///run/bearerd/xds.sock', 'xds: unix:///run/bearerd/check.sock'),
    /taken by listen\.check/,
  ],
];

describe('a bad file', () => {
  for (const [what, text, expected] of BAD) {
    test(`${what} is told with its place`, () => {
      assert.ok(
        problems(text).some((problem) => expected.test(problem)),
        problems(text).join('\n'),
      );
    });
  }

  test('every problem is told at once, in the order of the file', () => {
    const text = changed('scope: [orders.read]', 'scope: ["a b"]')
      .replace('[get]', '["GE T"]')
      .replace('version: 1', 'version: 0');
    const lines = problems(text).map((problem) => Number(problem.split(':')[0]));
    assert.equal(lines.length, 3);
    assert.deepEqual(
      lines,
      [...lines].sort((a, b) => a - b),
    );
  });

  test('no message quotes a secret', () => {
    const text = changed(
      'client_secret: { file: secrets/checkout }',
      'client_secret: hunter2-hunter2',
    ).replace('{ env: LEGACY }', '{ inline: hunter2-too }');
    assert.doesNotMatch(problems(text).join('\n'), /hunter2/);
  });
});
