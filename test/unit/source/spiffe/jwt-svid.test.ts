import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CredentialError } from '../../../../src/lib/errors.ts';
import {
  chooseJwtSvid,
  isTrusted,
  type JwtSvid,
  renewalDelayMs,
} from '../../../../src/source/spiffe/jwt-svid.ts';

const NOW = Date.UTC(2026, 10, 25);
const ID = 'spiffe://example.org/checkout';
const CLAIMS = { sub: ID, aud: ['orders', 'stock'], exp: NOW / 1_000 + 300, iat: NOW / 1_000 };

function svid(claims: object = {}, header: object = {}, spiffeId = ID) {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const parts = [
    part({ alg: 'ES256', kid: 'k', typ: 'JWT', ...header }),
    part({ ...CLAIMS, ...claims }),
    'c2ln',
  ];
  return { spiffeId, svid: parts.join('.') };
}
const choose = (...svids: ReturnType<typeof svid>[]) => chooseJwtSvid(svids, ['orders'], '', NOW);

test('the first one is taken, or the one that was asked for', () => {
  const other = 'spiffe://example.org/other';
  const all = [svid(), svid({ sub: other }, {}, other)];
  assert.equal(chooseJwtSvid(all, ['orders', 'stock'], '', NOW).spiffeId, ID);
  const chosen = chooseJwtSvid(all, ['orders'], other, NOW);
  assert.deepEqual([chosen.spiffeId, chosen.kid, chosen.expiresAt], [other, 'k', NOW + 300_000]);
});

describe('what a receiver would refuse never leaves', () => {
  const cases: readonly (readonly [string, () => JwtSvid, RegExp])[] = [
    ['none at all', () => choose(), /gave no JWT-SVID$/],
    ['no JWT', () => choose({ spiffeId: ID, svid: 'canary' }), /no JWT/],
    ['HS256', () => choose(svid({}, { alg: 'HS256' })), /algorithm/],
    ['none as algorithm', () => choose(svid({}, { alg: 'none' })), /algorithm/],
    ['another typ', () => choose(svid({}, { typ: 'at+jwt' })), /typ/],
    [
      'another subject',
      () => choose(svid({ sub: 'spiffe://example.org/canary' })),
      /sub is not the SPIFFE ID/,
    ],
    ['no SPIFFE ID', () => choose(svid({ sub: 'checkout' }, {}, 'checkout')), /sub is not the SPIFFE ID/],
    ['a missing audience', () => choose(svid({ aud: 'stock' })), /audience that was asked for is missing/],
    ['no end', () => choose(svid({ exp: undefined })), /no exp/],
    ['an end that has passed', () => choose(svid({ exp: NOW / 1_000 })), /has ended/],
  ];
  for (const [what, run, message] of cases) {
    test(what, () =>
      assert.throws(
        run,
        (error) =>
          error instanceof CredentialError && message.test(error.message) && !/canary/.test(error.message),
      ),
    );
  }
});

test('it is renewed at half life; where that is past, after half of what is left', () => {
  const fresh = choose(svid());
  assert.equal(renewalDelayMs(fresh, NOW), 150_000);
  assert.equal(renewalDelayMs(fresh, NOW + 200_000), 50_000);
  assert.equal(renewalDelayMs(choose(svid({ iat: undefined })), NOW), 150_000);
});

test('its key is trusted while the bundle of its trust domain has it', () => {
  const bundles = (kid: string, domain = 'spiffe://example.org') =>
    new Map([[domain, Buffer.from(JSON.stringify({ keys: [{ kid }] }))]]);
  const one = choose(svid());
  assert.equal(isTrusted(one, bundles('k')), true);
  assert.equal(isTrusted(one, bundles('other')), false);
  assert.equal(isTrusted(one, bundles('other', 'spiffe://elsewhere.org')), true, 'not told');
  assert.equal(isTrusted(one, new Map([['spiffe://example.org', Buffer.from('{')]])), true, 'not readable');
});
