import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mayReachQuery } from '../../../../src/doors/generate/expressions.ts';

test('a path expression that could match a question mark is known as such', () => {
  for (const regex of [
    '/a/.*',
    '/a/[^/]+',
    '/a\\S',
    '/a/\\W',
    '/a\\x3f',
    '/a\\?',
    '/[?]',
    '/a[!-~]',
    '\\Q/a?\\E',
    '/\\pP',
    '/[\\x3f]',
    '/[\\D]',
  ]) {
    assert.equal(mayReachQuery(regex), true, regex);
  }
});

test('a path expression that stays within the path may be pushed', () => {
  for (const regex of [
    '/a',
    '/users/[0-9]+',
    '/a\\.b',
    '/(a|b)/\\d+/[^/?]+',
    '/a/?',
    '/[a-z_-]+/\\w*',
    '/x{2,3}',
  ]) {
    assert.equal(mayReachQuery(regex), false, regex);
  }
});
