// Whatever a token endpoint answers: a token that may stand in a header, or a CredentialError that quotes nothing of it.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { CredentialError } from '../../../../src/lib/errors.ts';
import { toCredentialError } from '../../../../src/source/errors.ts';
import { processTokenReply, type TokenReplyExpectation } from '../../../../src/source/oauth/token-reply.ts';
import { createReplyAge } from '../../../../src/source/reply-age.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

const CANARY = 'canary-3f9a';
const clock = new FakeClock();

function read(reply: Response, patch: Partial<TokenReplyExpectation> = {}) {
  return processTokenReply(reply, {
    server: { issuer: 'https://idp.example.com', token_endpoint: 'https://idp.example.com/token' },
    client: { client_id: 'checkout' },
    tokenTypes: ['bearer'],
    sentAt: clock.monotonic(),
    clock,
    age: createReplyAge(clock),
    clockSkewSeen: () => {},
    certificate: false,
    proofKey: undefined,
    ...patch,
  });
}

const json = (body: unknown, status = 200, headers: Record<string, string> = {}) =>
  new Response(typeof body === 'string' ? body : JSON.stringify(body), {
    status,
    headers: { 'content-type': 'application/json', ...headers },
  });

/** Strings around the canary, beside ordinary values. */
const value = fc.oneof(
  fc.constantFrom(CANARY, `${CANARY}\r\n`, '', 'Bearer', 'DPoP', 'N_A', null, true, 0, -1, 1e300, 600, '600'),
  fc.string().map((text) => CANARY + text),
  fc.jsonValue({ maxDepth: 2 }),
);
const members = fc.constantFrom(
  ...['access_token', 'token_type', 'expires_in', 'refresh_token', 'id_token', 'scope', 'error'],
  ...['error_description', 'issued_token_type', '__proto__', 'constructor', CANARY],
);
const bodies = fc.oneof(
  { weight: 5, arbitrary: fc.dictionary(members, value).map((object) => JSON.stringify(object)) },
  { weight: 2, arbitrary: fc.string().map((text) => `${text}${CANARY}`) },
  // Cut at any byte, or with one character another.
  {
    weight: 3,
    arbitrary: fc
      .tuple(fc.nat(120), fc.string({ minLength: 1, maxLength: 1, unit: 'binary' }), fc.boolean())
      .map(([at, other, cut]) => {
        const good = `{"access_token":"${CANARY}","token_type":"Bearer","expires_in":600,"scope":"a"}`;
        return cut ? good.slice(0, at) : good.slice(0, at) + other + good.slice(at + 1);
      }),
  },
);

describe('an answer of a token endpoint', () => {
  test('is a usable token or a CredentialError that quotes nothing of it', async () => {
    let taken = 0;
    await fc.assert(
      fc.asyncProperty(
        bodies,
        fc.constantFrom(200, 200, 200, 201, 400, 401, 403, 404),
        fc.constantFrom('application/json', 'application/json;charset=utf-8', 'text/html', 'text/plain'),
        fc.constantFrom(undefined, `Basic realm="${CANARY}"`, 'Bearer', CANARY),
        async (body, status, type, challenge) => {
          const headers = { 'content-type': type, ...(challenge && { 'www-authenticate': challenge }) };
          try {
            const token = await read(new Response(body, { status, headers }));
            assert.equal(status, 200);
            assert.match(token.accessToken.reveal(), /^[A-Za-z0-9\-._~+/]+=*$/);
            assert.ok(token.lifetimeMs > 0 && token.lifetimeMs <= 315_360_000_000);
            taken++;
          } catch (error) {
            const known = toCredentialError(error);
            assert.ok(known instanceof CredentialError);
            assert.doesNotMatch(known.message, new RegExp(CANARY));
            assert.doesNotMatch(JSON.stringify(known), new RegExp(CANARY));
          }
        },
      ),
      { numRuns: 3_000 },
    );
    assert.ok(taken > 0, 'no answer was a token: the test would prove nothing');
  });

  test('of a client that showed a certificate: a JWT says itself whether it is bound, anything else counts as bound', async () => {
    const jwt = (claims: object) =>
      ['{"alg":"ES256"}', JSON.stringify(claims), 'x']
        .map((part) => Buffer.from(part).toString('base64url'))
        .join('.');
    const bound = async (token: string, certificate: boolean) =>
      (await read(json({ access_token: token, token_type: 'bearer' }), { certificate })).bound;
    assert.equal(await bound(jwt({ cnf: { 'x5t#S256': 'a' } }), true), true);
    assert.equal(await bound(jwt({ sub: 'a' }), true), false);
    assert.equal(await bound('opaque', true), true);
    assert.equal(await bound('opaque', false), false);
  });

  test('may say null of what it leaves out', async () => {
    const nothing = { expires_in: null, scope: null, refresh_token: null, id_token: null };
    const { lifetimeMs, refreshToken } = await read(
      json({ access_token: 'abc', token_type: 'Bearer', ...nothing }),
    );
    assert.equal(lifetimeMs, 300_000);
    assert.equal(refreshToken, undefined);
  });

  test('that is DPoP only where a proof went with the request', async () => {
    const dpop = { access_token: 'abc', token_type: 'DPoP' };
    await assert.rejects(read(json(dpop)), { message: 'the token_type is not Bearer' });
    const asked = { tokenTypes: ['dpop'] as const };
    assert.equal((await read(json(dpop), asked)).accessToken.reveal(), 'abc');
    await assert.rejects(read(json({ ...dpop, token_type: 'Bearer' }), asked), {
      message: 'the token_type is not DPoP, although the request carried a proof',
    });
  });

  test('without a Date, as Keycloak sends it: a JWT that was issued just now tells the provider’s clock', async () => {
    const skews: number[] = [];
    const jwt = (iat: number, exp: number) =>
      ['{"alg":"RS256"}', JSON.stringify({ iat, exp }), 'x']
        .map((part) => Buffer.from(part).toString('base64url'))
        .join('.');
    const now = Math.floor(clock.now() / 1_000);
    const age = createReplyAge(clock);
    const life = async (token: string, expires_in: number, headers = {}) =>
      (
        await read(json({ access_token: token, token_type: 'Bearer', expires_in }, 200, headers), {
          ...{ age, clockSkewSeen: (skewMs) => skews.push(skewMs) },
        })
      ).lifetimeMs;
    // Our clock five minutes ahead, and as far behind.
    assert.equal(await life(jwt(now - 300, now - 240), 60), 60_000);
    assert.equal(await life(jwt(now + 300, now + 360), 60), 60_000);
    assert.deepEqual(
      skews.map((ms) => Math.round(ms / 1_000)),
      [300, -300],
    );
    // Given again by the provider, with what is left of it: nothing is known of its clock, ours counts.
    await assert.rejects(life(jwt(now - 300, now - 240), 20), { message: /had expired/ });
    assert.equal(await life(jwt(now - 40, now + 20), 20), 20_000);
    // A cache in between, or a provider that gives the same answer again.
    await assert.rejects(life(jwt(now - 301, now - 241), 60, { age: '1' }), { message: /had expired/ });
    assert.equal(await life(jwt(now, now + 60), 60), 60_000);
    await clock.advance(20_000);
    assert.equal(await life(jwt(now, now + 60), 60), 40_000);
    assert.equal(skews.length, 3, 'an answer that came twice tells no clock');
  });
});
