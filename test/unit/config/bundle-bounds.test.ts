import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Config } from '../../../src/config/config.ts';
import { parseConfigTexts } from '../../../src/config/parse.ts';
import { ConfigError } from '../../../src/lib/errors.ts';

const LOCAL = `version: 1
listen: { check: unix:///run/bearerd/check.sock }
policy_bundle:
  url: https://policies.example.com/bearerd.jws
  name: production
  keys: keys.pem
  allow: { files: /var/run/secrets/bundle, env: [ORDERS], sources: [shared] }
sources:
  shared: { static: { value: { file: local-secret } } }
  private: { static: { value: { file: local-secret } } }
outbound:
  - { name: local, match: { hosts: [local.example.com] }, inject: { source: private } }
`;

function merge(bundle: string, local = LOCAL): Config {
  return parseConfigTexts(
    [
      { file: '/etc/bearerd/local.yaml', text: local },
      { file: 'bundle 7/x.yaml', text: `version: 1\n${bundle}`, ofBundle: true },
    ],
    '/etc/bearerd/local.yaml',
  );
}

function problems(bundle: string, local = LOCAL): readonly string[] {
  try {
    merge(bundle, local);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems.map(({ file, line, path, message }) => `${file}:${line} ${path}: ${message}`);
  }
  return [];
}

const policy = (name: string, source: string) =>
  `outbound:\n  - { name: ${name}, match: { hosts: [${name}.example.com] }, inject: { source: ${source} } }\n`;

test('policies of a bundle stand behind the local ones, with files below the allowed directory', () => {
  const config = merge(`sources:
  orders: { static: { value: { file: orders } } }
  absolute: { static: { value: { file: /var/run/secrets/bundle/sub/key } } }
  variable: { static: { value: { env: ORDERS } } }
${policy('orders', 'orders')}`);
  assert.deepEqual(
    config.outbound.map(({ name }) => name),
    ['local', 'orders'],
  );
  const values = config.sources.map((source) => source.type === 'static' && source.value);
  assert.deepEqual(values.slice(2), [
    { from: 'file', path: '/var/run/secrets/bundle/orders' },
    { from: 'file', path: '/var/run/secrets/bundle/sub/key' },
    { from: 'env', name: 'ORDERS' },
  ]);
  assert.deepEqual(
    values[0],
    { from: 'file', path: '/etc/bearerd/local-secret' },
    'the local file keeps its own',
  );
});

test('a bundle has no listeners, no bundle of its own, no modes and nothing else of a machine', () => {
  for (const line of [
    'listen: { admin: unix:///x.sock }',
    'policy_bundle: { url: https://evil.example.com/x, name: production, keys: k }',
    'state_dir: /tmp',
    'mode: development',
    'unmatched: deny',
    'inbound: {}',
    'shared_cache: {}',
    'log: { level: trace }',
  ]) {
    const key = line.split(':')[0]!;
    assert.deepEqual(problems(`${line}\n`), [
      `bundle 7/x.yaml:2 ${key}: is for the local file: a bundle has version, sources and outbound`,
    ]);
  }
});

test('files outside the allowed directory, by whatever way, are refused', () => {
  const oauth = (auth: string) =>
    `client_credentials: { token_endpoint: "https://idp.example.com/t", client_id: x, ${auth} }`;
  const outside = [
    'static: { value: { file: /etc/shadow } }',
    'static: { value: { file: ../other } }',
    'static: { value: { file: /var/run/secrets/bundle } }',
    'static: { value: { file: /var/run/secrets/bundle-of-others/key } }',
    'file: { path: /var/run/secrets/kubernetes.io/serviceaccount/token }',
    'api_keys: { ring: /etc/ring.yaml }',
    oauth('client_secret: { file: /etc/shadow }'),
    oauth('client_secret: { file: a }, ca_file: /etc/ca.pem'),
    oauth('private_key_jwt: { key: { file: /etc/key } }'),
    oauth('client_certificate: { certificate: /etc/a, private_key: /etc/b }'),
    oauth('client_assertion: { file: /etc/token }'),
    oauth('client_assertion: { spiffe: { socket: "unix:///run/spire/agent.sock" } }'),
    'spiffe_jwt: { socket: "unix:///run/docker.sock", audience: x }',
    'signed_jwt: { keys: { directory: /etc/keys }, issuer: a, subject: b, audience: c }',
    'http: { url: "https://x.example.com/", secrets: { a: { file: /etc/shadow } }, headers: { x: "${a}" }, token: /t, lifetime: /l }',
  ];
  for (const source of outside) {
    const told = problems(`sources:\n  orders: { ${source} }\n`);
    assert.ok(told.length > 0, source);
    for (const one of told)
      assert.match(
        one,
        /^bundle 7\/x\.yaml:3 sources\.orders.*is not below policy_bundle\.allow\.files/,
        source,
      );
  }
  const sign = `outbound:
  - name: orders
    match: { hosts: [orders.example.com] }
    inject: { source: shared }
    upstream_url: https://orders.example.com
    sign: { key: { file: /etc/key }, key_id: k, algorithm: ed25519 }
`;
  assert.match(problems(sign).join(), /outbound\[0\]\.sign: \/etc\/key is not below/);
});

test('programs, variables and sources of the machine are refused unless the local file names them', () => {
  assert.deepEqual(problems('sources: { x: { exec: { command: [/bin/sh, -c, id] } } }\n'), [
    'bundle 7/x.yaml:2 sources.x.exec: a bundle runs no program: put the source into the local file',
  ]);
  assert.deepEqual(problems('sources: { x: { static: { value: { env: AWS_SECRET_ACCESS_KEY } } } }\n'), [
    'bundle 7/x.yaml:2 sources.x.static: the environment variable AWS_SECRET_ACCESS_KEY is not in policy_bundle.allow.env',
  ]);
  assert.deepEqual(problems(policy('evil', 'private')), [
    'bundle 7/x.yaml:3 outbound[0].inject.source: private is a source of the local file and not in policy_bundle.allow.sources',
  ]);
  assert.deepEqual(problems(policy('good', 'shared')), []);
  const fallback = 'sources:\n  x: { static: { value: { env: ORDERS } }, fallback: private }\n';
  assert.match(problems(fallback).join(), /sources\.x\.fallback: private is a source of the local file/);
});

test('without allow a bundle names nothing of the machine', () => {
  const local = LOCAL.replace(/ {2}allow:.*\n/, '');
  assert.match(problems('sources: { x: { file: { path: x } } }\n', local).join(), /which is not set/);
  assert.match(problems(policy('good', 'shared'), local).join(), /allow\.sources/);
});

test('a bundle takes no name of the local file', () => {
  assert.deepEqual(
    problems(`sources: { shared: { static: { value: { env: ORDERS } } } }\n${policy('local', 'shared')}`),
    [
      'bundle 7/x.yaml:2 sources.shared: the source shared stands in /etc/bearerd/local.yaml:9:3 already',
      'bundle 7/x.yaml:4 outbound[0].name: the policy local stands in /etc/bearerd/local.yaml:12:13 already',
    ],
  );
});

test('a bundle of a newer version is refused by its version', () => {
  const text = 'version: 2\nroutes: []\n';
  assert.throws(
    () =>
      parseConfigTexts(
        [
          { file: 'local.yaml', text: LOCAL },
          { file: 'bundle 7/x.yaml', text, ofBundle: true },
        ],
        'local.yaml',
      ),
    (error: ConfigError) => {
      assert.deepEqual(
        error.problems.map(({ message }) => message),
        ['expected version: 1, got 2: a newer bearerd reads it; of what it means nothing is known here'],
      );
      return true;
    },
  );
});

test('a bundle lies behind https, without user and redirect', () => {
  const at = (url: string) =>
    problems('sources: {}\n', LOCAL.replace('https://policies.example.com/bearerd.jws', url));
  assert.match(at('http://127.0.0.1/x').join(), /policy_bundle\.url: expected https:\/\//);
  assert.match(at('https://user:hunter2@x.example.com/').join(), /policy_bundle\.url: no user or password/);
  assert.doesNotMatch(at('https://user:hunter2@x.example.com/').join(), /hunter2/);
});
