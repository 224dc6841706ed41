// A plain request leaves through real Envoy with a live token on it, through every door, on three versions.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { OPEN, type SendOptions } from '../../demo/world.ts';
import { TESTED_ENVOYS } from '../support/envoy.ts';
import { startedWorld } from '../support/world.ts';

for (const version of TESTED_ENVOYS) {
  test(`Envoy ${version}: every door puts the token on, once, in place of the app's own value`, async (t) => {
    const world = await startedWorld(t, { version });
    for (const door of ['check', 'push', 'attempt'] as const) {
      const { send } = await world.startEnvoy(door);
      const plain = await send('/v1/orders');
      assert.equal(plain.status, 200, `${door}: ${plain.body}`);
      const { client_certificate, token } = JSON.parse(plain.body);
      assert.equal(client_certificate, 'checkout');
      assert.deepEqual(token, { client_id: 'checkout', audience: 'orders', scope: 'orders.read' });
      const own = await send('/v1/orders', { headers: { authorization: 'Bearer of-the-app' } });
      assert.equal(own.status, 200, `${door}: ${own.body}`);
      assert.equal((await send('/open', { host: OPEN })).body.includes('"authorization":"none"'), true);
    }
    assert.equal(world.upstream.doubled, 0);
    assert.equal(world.provider.tokenCalls, 1, 'one token call serves all doors');
  });
}

// What the app sends, and whether it gets a credential. `/open…` answers what it received without judging it.
const TABLE: readonly (readonly [string, string, SendOptions, boolean])[] = [
  ['the prefix and below', '/open/v1/x', {}, true],
  ['the prefix without its slash', '/open/v1', {}, true],
  ['the prefix with a query', '/open/v1?x=1', {}, true],
  ['a longer last segment', '/open/v10', {}, false],
  ['another path', '/open/admin', {}, false],
  ['the path only in the query', '/open/admin?/open/v1/', {}, false],
  ['another method', '/open/v1/x', { method: 'DELETE' }, false],
  ['upper case in the host', '/open/v1/x', { host: 'ORDERS.example.com' }, true],
  ['another host', '/open/v1/x', { host: OPEN }, false],
  ['a trailing dot in the host', '/open/v1/x', { host: 'orders.example.com.' }, true],
  ['a port in the host', '/open/v1/x', { host: 'orders.example.com:8080' }, true],
  ['an empty query', '/open/v1?', {}, true],
  ['escaped dots in the path', '/open/v1/%2e%2e/admin', {}, false],
  ['dots in the path', '/open/v1/../admin', {}, false],
  ['an escaped slash', '/open/v1/a%2fb', {}, false],
  ['a doubled slash', '/open/v1//x', {}, false],
  ['a parameter in the path', '/open/v1/x;a=b', {}, false],
];

describe('one table of requests through every door', () => {
  for (const door of ['check', 'push', 'attempt'] as const) {
    test(`${door}: the same requests get the credential`, async (t) => {
      const world = await startedWorld(t, { paths: '[/open/v1/]' });
      // Push has nobody who waits.
      if (door === 'push') await world.ready();
      const { send } = await world.startEnvoy(door);
      // The first injected one also waits for the first token.
      await send('/open/v1/');
      const got: [string, boolean, number][] = [];
      for (const [what, path, options] of TABLE) {
        const { status, body } = await send(path, options);
        got.push([what, body.includes('"authorization":"present"'), status]);
      }
      assert.deepEqual(
        got,
        TABLE.map(([what, , , injected]) => [what, injected, 200]),
      );
      // The app's own value on a request of no policy stays its own.
      const own = await send('/open/admin', { headers: { authorization: 'x' } });
      assert.match(own.body, /"present"/);
    });
  }
});
