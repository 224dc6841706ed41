import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Config } from '../../../src/config/config.ts';
import { parseConfigTexts } from '../../../src/config/parse.ts';
import { ConfigError } from '../../../src/lib/errors.ts';

const LISTEN = 'version: 1\nlisten: { check: unix:///run/bearerd/check.sock }\n';
const policy = (name: string, source: string, more = '') =>
  `  - { name: ${name}, match: { hosts: [${name}.example.com] }, inject: { source: ${source} }${more} }\n`;
const source = (name: string) => `  ${name}: { static: { value: { file: secrets/${name} } } }\n`;
const ORDERS = `version: 1\nsources:\n${source('orders')}outbound:\n${policy('orders', 'orders')}`;
const STOCK = `version: 1\nsources:\n${source('stock')}outbound:\n${policy('stock', 'stock')}${policy('orders-too', 'orders')}`;

const merge = (files: Readonly<Record<string, string>>): Config =>
  parseConfigTexts(
    Object.entries(files).map(([name, text]) => ({ file: `/etc/bearerd/${name}`, text })),
    '/etc/bearerd',
  );

function problems(files: Readonly<Record<string, string>>): readonly string[] {
  try {
    merge(files);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems.map(
      ({ file, line, column, path, message }) => `${file}:${line}:${column} ${path}: ${message}`,
    );
  }
  assert.fail('no problem found');
}

test('sources are one set, policies stand in the order of the files, and paths are relative to each file', () => {
  const config = merge({ '00-listen.yaml': LISTEN, '10-stock.yaml': STOCK, '20-orders.yaml': ORDERS });
  assert.deepEqual(
    config.outbound.map(({ name }) => name),
    ['stock', 'orders-too', 'orders'],
  );
  assert.deepEqual(
    config.sources.map(({ name }) => name),
    ['stock', 'orders'],
  );
  assert.ok(config.sources[0]?.type === 'static');
  assert.deepEqual(config.sources[0].value, { from: 'file', path: '/etc/bearerd/secrets/stock' });
});

test('what stands in two files is told with both places', () => {
  assert.deepEqual(
    problems({
      'a.yaml': `${LISTEN}sources:\n${source('orders')}outbound:\n${policy('orders', 'orders')}`,
      'b.yaml': `${LISTEN}sources:\n${source('orders')}outbound:\n${policy('other', 'orders')}${policy('orders', 'orders')}`,
    }),
    [
      '/etc/bearerd/b.yaml:2:1 listen: listen, which belongs into one file, stands in /etc/bearerd/a.yaml:2:1 already',
      '/etc/bearerd/b.yaml:4:3 sources.orders: the source orders stands in /etc/bearerd/a.yaml:4:3 already',
      '/etc/bearerd/b.yaml:7:13 outbound[1].name: the policy orders stands in /etc/bearerd/a.yaml:6:13 already',
    ],
  );
});

test('problems of all files are told at once: syntax in one, shape in another, a conflict in a third', () => {
  assert.deepEqual(
    problems({
      'a.yaml': LISTEN,
      'b.yaml': 'version: 1\nsources: [\n',
      'c.yaml': `version: 1\noutbound:\n${policy('stock', 'stock', ', onfailure: deny')}`,
      'd.yaml': LISTEN,
    }).map((line) => line.replace(/: (.{30}).*/, ': $1')),
    [
      '/etc/bearerd/b.yaml:3:1 : a "]" is missing before this p',
      '/etc/bearerd/c.yaml:3:86 outbound[0].onfailure: unknown key "onfailure"; did y',
      '/etc/bearerd/d.yaml:2:1 listen: listen, which belongs into one',
    ].map((line) => line.replace(/: (.{30}).*/, ': $1')),
  );
});

test('what spans files is told where it stands, with the path inside that file', () => {
  assert.deepEqual(
    problems({
      'a.yaml': LISTEN,
      'b.yaml': ORDERS,
      'c.yaml': STOCK.replace('source: orders', 'source: order'),
    }),
    ['/etc/bearerd/c.yaml:6:87 outbound[1].inject.source: no source named "order"; did you mean orders?'],
  );
});

test('each file states its version', () => {
  assert.deepEqual(problems({ 'a.yaml': LISTEN, 'b.yaml': 'outbound: []\n' }), [
    '/etc/bearerd/b.yaml:1:1 version: missing: expected version: 1 in each file',
  ]);
});

test('of a newer version only the version is told: what its keys mean is not known', () => {
  assert.deepEqual(problems({ 'a.yaml': LISTEN, 'b.yaml': 'version: 2\nroutes: { new: true }\n' }), [
    '/etc/bearerd/b.yaml:1:10 version: expected version: 1, got 2: a newer bearerd reads it; of what it means nothing is known here',
  ]);
});

test('a newer key in version 1 is refused, never passed over', () => {
  const [told] = problems({ 'a.yaml': `${LISTEN}quotas: { orders: 5 }\n` });
  assert.match(told!, /^\/etc\/bearerd\/a\.yaml:3:1 quotas: unknown key "quotas"; expected one of version, /);
});

test('a source with a name of JavaScript is a source', () => {
  const config = merge({ 'a.yaml': LISTEN, 'b.yaml': `version: 1\nsources:\n${source('constructor')}` });
  assert.deepEqual(
    config.sources.map(({ name }) => name),
    ['constructor'],
  );
});
