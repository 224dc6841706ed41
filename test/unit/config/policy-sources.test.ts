import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig } from '../../../src/config/parse.ts';
import { ConfigError } from '../../../src/lib/errors.ts';

const client = {
  token_endpoint: 'https://idp.example.com/token',
  client_id: 'c',
  client_secret: { env: 'SECRET' },
  audience: 'own',
};

const signer = {
  keys: { directory: 'keys' },
  issuer: 'https://checkout.example.com',
  subject: 'checkout',
  audience: ['own'],
  scope: ['r'],
  claims: { tenant: 'eu', tier: 1 },
};

function configOf(injects: readonly object[], more: object = {}, xds: readonly string[] = ['a']) {
  return parseConfig(
    JSON.stringify({
      version: 1,
      listen: { xds: { address: 'unix:///x.sock', sources: xds } },
      sources: {
        a: { client_credentials: client, ...more },
        k: { static: { value: { env: 'KEY' } } },
        s: { signed_jwt: signer },
        v: { spiffe_jwt: { socket: 'unix:///api.sock', audience: ['x', 'y'] } },
      },
      outbound: injects.map((inject, i) => ({
        name: `p${i}`,
        match: { hosts: [`h${i}.example.com`] },
        inject,
      })),
    }),
    '/etc/bearerd.yaml',
  );
}

const rows = ({ sources, outbound }: ReturnType<typeof configOf>) => ({
  sources: sources.map((source) =>
    source.type === 'client_credentials'
      ? [source.name, source.audience, source.scope.join()]
      : [source.name],
  ),
  used: outbound.map(({ inject }) => inject.source),
});

test('a policy that asks for another audience has a source of its own, shared by those that ask for the same', () => {
  const config = configOf([
    { source: 'a' },
    { source: 'a', audience: 'x' },
    { source: 'a', audience: 'x' },
    { source: 'a', scope: ['r'] },
  ]);
  assert.deepEqual(rows(config), {
    sources: [['a', 'own', ''], ['k'], ['s'], ['v'], ['a:p1', 'x', ''], ['a:p3', 'own', 'r']],
    used: ['a', 'a:p1', 'a:p1', 'a:p3'],
  });
  assert.deepEqual(config.listen.xds[0]?.sources, ['a', 'a:p1', 'a:p3']);
});

test('a source that every policy asks for something else is not fetched for nobody', () => {
  assert.deepEqual(rows(configOf([{ source: 'a', audience: 'x' }])).sources, [
    ['k'],
    ['s'],
    ['v'],
    ['a:p0', 'x', ''],
  ]);
});

test('a signed JWT may have audience, scope and claims of the policy, a JWT-SVID its audience', () => {
  const { sources } = configOf([
    { source: 's', claims: { tier: 2 } },
    { source: 's', audience: 'x', scope: 'w' },
    { source: 's', audience: 'x', scope: 'w' },
    { source: 'v', audience: 'z' },
  ]);
  const told = sources.flatMap((source) => {
    if (source.type === 'spiffe_jwt') return [[source.name, source.audience]];
    return source.type === 'signed_jwt' ? [[source.name, source.audience, source.scope, source.claims]] : [];
  });
  assert.deepEqual(told, [
    ['s:p0', ['own'], ['r'], { tenant: 'eu', tier: 2 }],
    ['s:p1', ['x'], ['w'], { tenant: 'eu', tier: 1 }],
    ['v:p3', ['z']],
  ]);
});

test('what cannot be asked for is refused at its place', () => {
  const problem = (injects: readonly object[], more?: object) => {
    try {
      configOf(injects, more);
    } catch (error) {
      assert.ok(error instanceof ConfigError);
      return error.problems.map(({ path, message }) => `${path}: ${message}`).join('\n');
    }
    return '';
  };
  assert.equal(
    problem([{ source: 'k', audience: 'x' }]),
    'outbound[0].inject.audience: k is a static source: it cannot be asked for another audience',
  );
  assert.match(
    problem([{ source: 'a', resource: 'urn:x' }], { fallback: 'k' }),
    /^outbound\[0\]\.inject\.resource: a has a fallback/,
  );
  assert.match(problem([{ source: 'a', scope: 'a "b' }]), /^outbound\[0\]\.inject\.scope/);
  assert.equal(
    problem([{ source: 'a', audience: 'x', claims: { tier: 2 } }]),
    'outbound[0].inject.claims: a is a client_credentials source: it cannot be asked for other claims',
  );
  assert.match(
    problem([{ source: 's', claims: { sub: 'admin' } }]),
    /sub is set by another key or by bearerd/,
  );
});
