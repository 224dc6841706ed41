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

function configOf(injects: readonly object[], more: object = {}, xds: readonly string[] = ['a']) {
  return parseConfig(
    JSON.stringify({
      version: 1,
      listen: { xds: { address: 'unix:///x.sock', sources: xds } },
      sources: { a: { client_credentials: client, ...more }, k: { static: { value: { env: 'KEY' } } } },
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
    sources: [['a', 'own', ''], ['k'], ['a:p1', 'x', ''], ['a:p3', 'own', 'r']],
    used: ['a', 'a:p1', 'a:p1', 'a:p3'],
  });
  assert.deepEqual(config.listen.xds[0]?.sources, ['a', 'a:p1', 'a:p3']);
});

test('a source that every policy asks for something else is not fetched for nobody', () => {
  assert.deepEqual(rows(configOf([{ source: 'a', audience: 'x' }])).sources, [['k'], ['a:p0', 'x', '']]);
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
});
