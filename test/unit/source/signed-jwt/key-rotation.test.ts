import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  nextSignerAt,
  publishedKeys,
  type RotatingKey,
  signingKey,
} from '../../../../src/source/signed-jwt/key-rotation.ts';

const MINUTE = 60_000;
const NOW = Date.UTC(2026, 10, 25);
const AHEAD = 10 * MINUTE;
const key = (
  thumbprint: string,
  ageMinutes: number,
  gone?: { minutes: number; signedFor: number },
): RotatingKey => ({
  thumbprint,
  since: NOW - ageMinutes * MINUTE,
  goneAt: gone && NOW - gone.minutes * MINUTE,
  signedUntil: gone ? NOW + gone.signedFor * MINUTE : 0,
});
const signer = (...keys: RotatingKey[]) => signingKey(keys, NOW, AHEAD)?.thumbprint;
const published = (...keys: RotatingKey[]) => publishedKeys(keys, NOW, AHEAD).map((k) => k.thumbprint);

describe('the key that signs', () => {
  test('is the newest that has been published long enough', () => {
    assert.equal(signer(key('old', 900), key('known', 10), key('new', 9.9)), 'known');
    assert.equal(signer(key('old', 900), key('known', 20), key('new', 10)), 'new');
  });
  test('at a first start with young files is the oldest, which others may know', () => {
    assert.equal(signer(key('a', 1), key('b', 1)), 'a');
  });
  test('stays the one whose file was replaced until the new one is known', () => {
    const gone = key('gone', 900, { minutes: 3, signedFor: 2 });
    assert.equal(signer(gone, key('new', 3)), 'gone');
    assert.equal(signer(key('gone', 900, { minutes: 10, signedFor: 2 }), key('new', 10)), 'new');
  });
  test('is never one that went away without having signed', () => {
    assert.equal(signer({ ...key('gone', 900), goneAt: NOW }, key('new', 0)), 'new');
  });
  test('with publish_ahead: 0s is the newest at once', () => {
    assert.equal(signingKey([key('old', 900), key('new', 0)], NOW, 0)?.thumbprint, 'new');
  });
});

describe('published keys', () => {
  test('are all that are there, and those that are gone as long as one of their JWTs lives', () => {
    const living = key('living', 900, { minutes: 30, signedFor: 1 });
    const ended = key('ended', 900, { minutes: 30, signedFor: 0 });
    assert.deepEqual(published(living, ended, key('now', 20), key('new', 0)), ['living', 'now', 'new']);
  });
  test('the key that signs from memory is among them', () => {
    assert.deepEqual(published(key('gone', 900, { minutes: 3, signedFor: -1 }), key('new', 3)), [
      'gone',
      'new',
    ]);
  });
});

test('the next change is when the youngest has been published long enough', () => {
  assert.equal(nextSignerAt([key('a', 900), key('b', 4)], NOW, AHEAD), NOW + 6 * MINUTE);
  assert.equal(nextSignerAt([key('a', 900)], NOW, AHEAD), Number.POSITIVE_INFINITY);
});
