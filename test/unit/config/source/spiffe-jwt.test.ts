import assert from 'node:assert/strict';
import { test } from 'node:test';
import { problemsOf, sourceOf } from '../../../support/source-config.ts';

const GOOD = 'spiffe_jwt: { socket: "unix:///run/spire/agent.sock", audience: orders }';

test('socket, audiences and identity are read', () => {
  const source = sourceOf(GOOD.replace('orders', '[orders, stock], spiffe_id: "spiffe://example.org/a/b"'));
  assert.ok(source.type === 'spiffe_jwt');
  assert.deepEqual(
    [source.socket, source.audience, source.spiffeId],
    ['/run/spire/agent.sock', ['orders', 'stock'], 'spiffe://example.org/a/b'],
  );
  const byDefault = sourceOf(GOOD);
  assert.ok(byDefault.type === 'spiffe_jwt' && byDefault.spiffeId === '');
});

for (const [what, text, expected] of [
  ['TCP', GOOD.replace('unix:///run/spire/agent.sock', '127.0.0.1:8081'), /socket: expected a Unix socket/],
  ['no audience', GOOD.replace('orders', '[]'), /audience: expected at least one audience/],
  ...[
    'spiffe://Example.org/a',
    'spiffe://example.org/a/',
    'spiffe://example.org/../b',
    'https://example.org/a',
  ].map(
    (id) =>
      [id, GOOD.replace('orders', `orders, spiffe_id: "${id}"`), /spiffe_id: expected a SPIFFE ID/] as const,
  ),
] as const) {
  test(`${what} is refused`, () => assert.match(problemsOf(text).join('\n'), expected));
}
