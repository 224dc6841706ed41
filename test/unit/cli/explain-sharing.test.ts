import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sharingText } from '../../../src/cli/explain-sharing.ts';
import { parseConfig } from '../../../src/config/parse.ts';

const client = {
  token_endpoint: 'http://127.0.0.1:1/token',
  client_id: 'c',
  client_secret: { inline: 'hunter2' },
};
const place = { header: 'authorization' };

function sharing(source: object, cache: object = {}, policy: object = {}): string {
  const file = {
    ...{ version: 1, mode: 'development', listen: { check: 'unix:///run/bearerd/check.sock' } },
    sources: { orders: source },
    outbound: [
      { name: 'p', match: { hosts: ['orders.example.com'] }, inject: { source: 'orders' }, ...policy },
    ],
    shared_cache: {
      ...{ redis: { address: '127.0.0.1' }, tenant: 'checkout', keys: [{ inline: 'xyzzy' }], ...cache },
    },
  };
  const config = parseConfig(JSON.stringify(file), '/etc/bearerd/bearerd.yaml');
  const text = sharingText(config, config.sources[0]!);
  assert.doesNotMatch(text, /hunter2|xyzzy/);
  return text;
}

test('explain tells whether a credential is shared, under which prefix, and if not, why', () => {
  assert.match(
    sharing({ client_credentials: client }),
    /^the token, sealed, in Redis under bearerd:checkout:/,
  );
  assert.match(
    sharing({ refresh_token: { ...client, store: { shared: true } } }),
    /^the access token and login, sealed, in Redis under bearerd:checkout:/,
  );
  const exchange = { token_exchange: { ...client, subject_token: place } };
  assert.match(sharing(exchange, { per_user_sources: ['orders'] }), /^the token of each user, sealed,/);
  assert.match(
    sharing(exchange),
    /^no: tokens of single users, and the source is not in shared_cache\.per_user/,
  );
  assert.match(
    sharing({ client_credentials: { ...client, dpop: true } }, {}, { upstream_url: 'https://orders' }),
    /^no: dpop binds it/,
  );
  assert.match(sharing({ exec: { command: ['/bin/x'] } }), /^no: what a program prints/);
  const file = { file: '/x', key: { env: 'KEY' } };
  assert.match(
    sharing({ refresh_token: { ...client, store: file } }),
    /^no: its refresh token lies in a file/,
  );
});

test('and that there is no shared cache', () => {
  const file = {
    ...{ version: 1, mode: 'development', listen: { check: 'unix:///run/bearerd/check.sock' } },
    sources: { orders: { client_credentials: client } },
  };
  const config = parseConfig(JSON.stringify(file), 'x.yaml');
  assert.equal(sharingText(config, config.sources[0]!), 'no: there is no shared_cache');
});
