import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SourceConfig } from '../../../src/config/config.ts';
import type { TokenSource } from '../../../src/credential/credential.ts';
import { createSubject } from '../../../src/credential/subject.ts';
import { createSecretHash, entryNames, identityOf } from '../../../src/shared-cache/name.ts';
import { whyNotShared } from '../../../src/shared-cache/shareable.ts';
import { clientCredentials } from '../../support/fleet.ts';
import { sourceConfig } from '../../support/token-source.ts';

const identity = (config: SourceConfig, env = {}) => identityOf(config, createSecretHash(env, 'checkout'));
const source = (perSubject: boolean): TokenSource => ({
  ...{ name: 'orders', type: 'client_credentials', endpoint: 'idp', syntax: 'b64token', perSubject },
  issue: () => assert.fail('not asked'),
});

test('the identity covers all that makes another token, and nothing of this process', async () => {
  const base = await identity(clientCredentials());
  const different: object[] = [
    { token_endpoint: 'http://127.0.0.1:2/token' },
    { client_id: 'other' },
    { client_secret: { inline: 'rotated' } },
    { client_auth: 'client_secret_post' },
    { scope: ['read'] },
    { audience: 'api' },
    { resource: ['urn:x'] },
    { extra_params: { tenant: 'x' } },
  ];
  const seen = new Set([base]);
  for (const patch of different) seen.add(await identity(clientCredentials(patch)));
  assert.equal(seen.size, different.length + 1);
  const same = { ...clientCredentials(), name: 'other name', required: true };
  assert.equal(await identity(same), base);
  assert.equal(await identity(clientCredentials({ ca_file: '/other/ca.pem' })), base);
  // Not where the secret lies, but what it is.
  assert.equal(await identity(clientCredentials({ client_secret: { env: 'S' } }), { S: 'secret' }), base);
});

test('neither the identity nor a name shows a secret', async () => {
  const text = await identity(clientCredentials({ client_secret: { inline: 'hunter2hunter2' } }));
  assert.ok(!text.includes('hunter2'));
  const { entry } = entryNames('checkout', text, source(false), undefined);
  assert.match(entry, /^bearerd:checkout:\{[\w-]{43}\}:entry$/);
});

test('a name for a user’s token cannot be made without the user, nor one with a user for everybody’s', () => {
  const alice = createSubject('alice', undefined);
  assert.throws(() => entryNames('t', 'i', source(true), undefined), TypeError);
  assert.throws(() => entryNames('t', 'i', source(false), alice), TypeError);
  const names = [alice, createSubject('bob', undefined), createSubject('alice', 'actor')].map(
    (subject) => entryNames('t', 'i', source(true), subject).entry,
  );
  assert.equal(new Set(names).size, 3);
});

test('only what is wholly covered is shared, and of the rest it is told why not', () => {
  const why = (config: SourceConfig, perSubject = false, listed: string[] = []) =>
    whyNotShared(config, perSubject, listed);
  assert.equal(why(clientCredentials()), undefined);
  assert.match(why(clientCredentials({ dpop: true }))!, /bound|binds/);
  assert.match(why(clientCredentials(), true)!, /not in shared_cache\.per_user_sources/);
  assert.equal(why(clientCredentials(), true, ['orders']), undefined);
  assert.match(why(sourceConfig({ static: { value: { inline: 'x' } } }))!, /nobody is asked/);
  assert.match(why(sourceConfig({ file: { path: '/x' } }))!, /nobody is asked/);
  assert.match(why(sourceConfig({ exec: { command: ['/bin/x'] } }))!, /where it runs/);
  const login = (store: object) =>
    ({
      ...clientCredentials(),
      type: 'refresh_token',
      store,
    }) as SourceConfig;
  assert.match(why(login({ kind: 'file', file: '/x', key: { from: 'env', name: 'X' } }))!, /one process/);
  assert.equal(why(login({ kind: 'shared' })), undefined);
});

test('the logins of two sources are two, though all else is the same', async () => {
  const login = (name: string) =>
    ({ ...clientCredentials(), type: 'refresh_token', store: { kind: 'shared' }, name }) as SourceConfig;
  assert.notEqual(await identity(login('alice')), await identity(login('bob')));
});

test('a signed assertion is covered with its key, its claims and whom it is for', async () => {
  const signed = (patch: object, key = 'key one') =>
    identity(
      {
        ...clientCredentials(),
        type: 'jwt_bearer',
        assertion: { from: 'key', key: { from: 'env', name: 'KEY' }, issuer: 'i', subject: 's', ...patch },
      } as never,
      { KEY: key },
    );
  const all = [
    await signed({}),
    await signed({ subject: 'other' }),
    await signed({ claims: { role: 'x' } }),
    await signed({ audience: 'a' }),
    await signed({}, 'key two'),
  ];
  assert.equal(new Set(all).size, all.length);
  assert.equal(await signed({}), all[0]);
});
