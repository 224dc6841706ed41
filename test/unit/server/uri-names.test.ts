import assert from 'node:assert/strict';
import { test } from 'node:test';
import { matchesUri, uriNames } from '../../../src/server/uri-names.ts';

test('URI names are read among names of other kinds', () => {
  assert.deepEqual(uriNames('DNS:a.example, URI:spiffe://td/ns/a, IP Address:10.0.0.1, URI:https://x/y'), [
    'spiffe://td/ns/a',
    'https://x/y',
  ]);
  assert.deepEqual(uriNames('DNS:a.example'), []);
  assert.deepEqual(uriNames(''), []);
  assert.deepEqual(uriNames(undefined), []);
});

test('a DNS name that contains the text of a URI is none', () => {
  assert.deepEqual(uriNames('DNS:"a, URI:spiffe://td/ns/admin", URI:spiffe://td/ns/a'), ['spiffe://td/ns/a']);
  assert.deepEqual(uriNames('URI:"spiffe://td/a\\", URI:spiffe://td/b"'), [
    'spiffe://td/a", URI:spiffe://td/b',
  ]);
});

test('names that cannot be read are no names at all', () => {
  assert.deepEqual(uriNames('URI:spiffe://td/a, broken'), []);
  assert.deepEqual(uriNames('DNS:"open, URI:spiffe://td/a'), []);
});

test('a pattern matches itself, and anything behind its star', () => {
  assert.ok(matchesUri('spiffe://td/ns/a', 'spiffe://td/ns/a'));
  assert.ok(!matchesUri('spiffe://td/ns/a', 'spiffe://td/ns/ab'));
  assert.ok(matchesUri('spiffe://td/ns/*', 'spiffe://td/ns/ab'));
  assert.ok(!matchesUri('spiffe://td/ns/*', 'spiffe://td/other/ns/ab'));
});
