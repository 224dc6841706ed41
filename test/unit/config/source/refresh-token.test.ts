import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig } from '../../../../src/config/parse.ts';
import type { ConfigError } from '../../../../src/lib/errors.ts';
import { problemsOf, sourceOf } from '../../../support/source-config.ts';

const good = `refresh_token:
  issuer: https://login.example.com
  client_id: checkout
  client_auth: none
  store: { file: orders.refresh, key: { file: key } }
  refresh_lifetime: 2160h`;

test('paths are relative to the file, and the lifetime is in milliseconds', () => {
  const source = sourceOf(good);
  assert.equal(source.type, 'refresh_token');
  const { store, refreshLifetimeMs } = source as Extract<typeof source, { type: 'refresh_token' }>;
  assert.deepEqual(store, {
    ...{ kind: 'file', file: '/etc/bearerd/orders.refresh' },
    key: { from: 'file', path: '/etc/bearerd/key' },
  });
  assert.equal(refreshLifetimeMs, 90 * 86_400_000);
});

test('each fault is told with what to change', () => {
  const faults: readonly (readonly [string, string, RegExp])[] = [
    [
      'key: { file: key }',
      'key: c2VjcmV0',
      /store\.key: expected a reference to a secret: \{ file: \/path \}/,
    ],
    ['file: orders.refresh, ', '', /store: expected exactly one of file and shared, got none/],
    [
      'file: orders.refresh, ',
      'shared: true, ',
      /store\.key: belongs to file; what is shared is sealed with/,
    ],
    [', key: { file: key }', '', /store\.key: file needs key, which seals it/],
    [
      'file: orders.refresh, key: { file: key }',
      'shared: true',
      /store\.shared: needs shared_cache: it is kept in its Redis/,
    ],
    ['refresh_lifetime: 2160h', 'refresh_lifetime: 90', /refresh_lifetime: a duration needs its unit/],
    ['issuer: https://login.example.com', 'dpop: true', /expected exactly one of issuer and token_endpoint/],
    ['client_auth: none', 'client_auth: none\n  dpop: true', /dpop: dpop needs a client that proves itself/],
    [
      'client_auth: none',
      'client_auth: none\n  authorization_endpoint: http://127.0.0.1/x',
      /authorization_endpoint: expected https:/,
    ],
  ];
  for (const [from, to, problem] of faults) {
    const told = problemsOf(good.replace(from, to)).join('\n');
    assert.match(told, problem);
    assert.doesNotMatch(told, /c2VjcmV0/);
  }
});

test('two sources with one file are refused', () => {
  const source = good.replaceAll(/^/gm, '    ');
  const text = `version: 1\nlisten: { xds: "unix:///x.sock" }\nsources:\n  a:\n${source}\n  b:\n${source}\n`;
  assert.throws(
    () => parseConfig(text, 'x.yaml'),
    (error: ConfigError) => {
      const { path, message } = error.problems[0]!;
      assert.equal(path, 'sources.b.refresh_token.store.file');
      assert.match(message, /taken by sources\.a already/);
      return true;
    },
  );
});
