import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseConfig } from '../../../src/config/parse.ts';
import { ConfigError } from '../../../src/lib/errors.ts';

const key = { static: { value: { env: 'KEY' } } };
const exchange = (header: string) => ({
  token_exchange: {
    token_endpoint: 'https://idp.example.com/token',
    client_id: 'c',
    client_secret: { env: 'SECRET' },
    subject_token: { header },
  },
});

function problemsOf(sources: object, policy: object = {}): readonly string[] {
  const inject = { source: 'a' };
  const match = { hosts: ['a.example.com'] };
  const text = JSON.stringify({
    version: 1,
    listen: { check: 'unix:///c.sock' },
    sources,
    outbound: [{ name: 'p', match, inject, ...policy }],
  });
  try {
    parseConfig(text, '/etc/bearerd.yaml');
    return [];
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.problems.map(({ path, message }) => `${path}: ${message}`);
  }
}

describe('fallback', () => {
  test('names another source, which has none itself', () => {
    assert.deepEqual(problemsOf({ a: { ...key, fallback: 'b' }, b: key }), []);
    assert.deepEqual(problemsOf({ a: { ...key, fallback: 'a' } }), [
      'sources.a.fallback: a source is no fallback of itself',
    ]);
    assert.deepEqual(problemsOf({ a: { ...key, fallback: 'c' }, b: key }), [
      'sources.a.fallback: no source named "c"; did you mean a?',
    ]);
    assert.match(
      problemsOf({ a: { ...key, fallback: 'b' }, b: { ...key, fallback: 'c' }, c: key })[0]!,
      /b has a fallback of its own/,
    );
  });

  test('never goes from a source of users to one of everybody, nor to other users', () => {
    const user = exchange('x-user');
    assert.deepEqual(problemsOf({ a: { ...user, fallback: 'b' }, b: user }), []);
    for (const other of [key, exchange('x-other')]) {
      assert.match(
        problemsOf({ a: { ...user, fallback: 'b' }, b: other })[0]!,
        /sources\.a\.fallback: a and b do not give credentials for the same subjects/,
      );
    }
    assert.equal(problemsOf({ a: { ...key, fallback: 'b' }, b: user }).length, 1);
  });
});

describe('environment', () => {
  const of = (environment: string) => ({ ...key, environment });

  test('a policy uses sources of its own one, or of none', () => {
    assert.deepEqual(problemsOf({ a: of('prod') }, { environment: 'prod' }), []);
    assert.deepEqual(problemsOf({ a: key }, { environment: 'prod' }), []);
    assert.deepEqual(problemsOf({ a: of('staging') }, { environment: 'prod' }), [
      'outbound[0].inject.source: the source a is of the environment staging, this is of prod',
    ]);
  });

  test('a fallback does not cross', () => {
    assert.deepEqual(problemsOf({ a: { ...of('prod'), fallback: 'b' }, b: of('staging') }), [
      'sources.a.fallback: the source b is of the environment staging, this is of prod',
    ]);
  });
});
