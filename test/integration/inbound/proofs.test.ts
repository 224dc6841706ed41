// Proofs of senders: DPoP (RFC 9449) and signed requests (RFC 9421), made by what signs outgoing requests, and by a
// library of others.
import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, test } from 'node:test';
import { calculateJwkThumbprint } from 'jose';
import { createDpopProver } from '../../../src/proof/dpop.ts';
import { signMessage } from '../../../src/proof/message-signature.ts';
import { type InboundWorld, startInbound } from '../../support/inbound-world.ts';
import { createTestKey, jwkSet, part, signatureOf, signToken } from '../../support/token-issuer.ts';

const issuers = `
  issuers:
    idp: { issuer: "https://idp.example.com", jwks_file: jwks.json, audience: orders }`;

describe('DPoP', () => {
  const inbound = `${issuers}
  policies:
    - { name: bound, match: { paths: [/bound/] }, bound: dpop, public_url: "https://api.example.com" }
    - { name: free, match: {}, public_url: "https://api.example.com" }
`;
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const publicJwk = createPublicKey(privateKey).export({ format: 'jwk' }) as Record<string, string>;

  async function start(t: Parameters<typeof startInbound>[0]) {
    const world = await startInbound(t, inbound);
    const token = world.token({ cnf: { jkt: await calculateJwkThumbprint(publicJwk) } });
    return { world, token };
  }
  const proofOf = (
    token: string,
    more: { htu?: string; method?: string; nowMs?: number; key?: KeyObject } = {},
  ) => {
    const key = more.key ?? privateKey;
    const jwk = createPublicKey(key).export({ format: 'jwk' }) as Record<string, string>;
    return createDpopProver(
      { privateKey: key, publicJwk: jwk },
      token,
    )({
      method: more.method ?? 'GET',
      htu: more.htu ?? 'https://api.example.com/bound/1',
      now: Date.now() + (more.nowMs ?? 0),
      nonce: undefined,
    });
  };
  const ask = (world: InboundWorld, token: string, dpop: string | string[] | undefined, scheme = 'DPoP') =>
    world.ask({
      path: '/bound/1?page=2',
      headers: { authorization: `${scheme} ${token}`, ...(dpop === undefined ? {} : { dpop }) },
    });

  test('a right proof lets in once; each wrong one is refused with the algorithms that count', async (t) => {
    const { world, token } = await start(t);
    const proof = proofOf(token);
    assert.equal((await ask(world, token, proof)).status, 200);
    assert.equal((await ask(world, token, proof)).status, 401, 'the same proof again');
    assert.equal((await ask(world, token, proofOf(token))).status, 200, 'a new one');
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    const tampered = proofOf(token).split('.');
    const wrong: Record<string, string | string[] | undefined> = {
      none: undefined,
      'two of them': [proofOf(token), proofOf(token)],
      'another path': proofOf(token, { htu: 'https://api.example.com/bound/2' }),
      'another host': proofOf(token, { htu: 'https://evil.example.com/bound/1' }),
      'plain http': proofOf(token, { htu: 'http://api.example.com/bound/1' }),
      'another method': proofOf(token, { method: 'POST' }),
      'of another token': proofOf(`${token}x`),
      'of another key': proofOf(token, { key: other }),
      'an old one': proofOf(token, { nowMs: -70_000 }),
      'one of the future': proofOf(token, { nowMs: 30_000 }),
      'a tampered one': `${tampered[0]}.${tampered[1]}.${part('x'.repeat(48))}`,
      'the token itself': token,
      nonsense: 'x',
    };
    for (const [name, dpop] of Object.entries(wrong)) {
      const { status, headers } = await ask(world, token, dpop);
      assert.equal(status, 401, name);
      assert.match(
        headers['www-authenticate']!,
        /^DPoP realm="bearerd", error="invalid_dpop_proof", algs="ES256 /,
        name,
      );
    }
  });

  test('the query is no part of htu, its spelling may differ, and a downgrade to Bearer is refused', async (t) => {
    const { world, token } = await start(t);
    const htu = 'HTTPS://API.example.com:443/bound/1?x=y#z';
    assert.equal((await ask(world, token, proofOf(token, { htu }))).status, 200);
    assert.equal((await ask(world, token, proofOf(token), 'Bearer')).status, 401);
    assert.equal(
      (await world.bearer(token, { path: '/free' })).status,
      401,
      'also where the policy asks for none',
    );
    assert.equal((await ask(world, world.token(), proofOf(world.token()))).status, 401, 'an unbound token');
    assert.equal((await world.bearer(world.token(), { path: '/bound/1' })).status, 401);
  });

  test('a proof with a private key in it, or of a symmetric algorithm, proves nothing', async (t) => {
    const { world, token } = await start(t);
    const key = createTestKey('x', 'ES256');
    const claims = JSON.parse(Buffer.from(proofOf(token).split('.')[1]!, 'base64url').toString());
    const jkt = await calculateJwkThumbprint(key.jwk as never);
    const bound = world.token({ cnf: { jkt } });
    const ath = JSON.parse(Buffer.from(proofOf(bound).split('.')[1]!, 'base64url').toString()).ath;
    const made = (header: object) => {
      const input = `${part({ typ: 'dpop+jwt', alg: 'ES256', jwk: key.jwk, ...header })}.${part({ ...claims, jti: `${Math.random()}`, ath })}`;
      return `${input}.${signatureOf(key, input).toString('base64url')}`;
    };
    assert.equal((await ask(world, bound, made({}))).status, 200);
    const withPrivate = { ...(key.privateKey.export({ format: 'jwk' }) as object) };
    assert.equal((await ask(world, bound, made({ jwk: withPrivate }))).status, 401);
    assert.equal((await ask(world, bound, made({ alg: 'HS256' }))).status, 401);
    assert.equal((await ask(world, bound, made({ typ: 'JWT' }))).status, 401);
  });
});

describe('signed requests', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const keys = JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'partner' }] });
  const inbound = `${issuers}
  policies:
    - name: signed
      match: {}
      anonymous: true
      public_url: "https://api.example.com"
      signature: { keys_file: partners.json, components: [content-digest] }
`;
  const settings = {
    label: 'sig1',
    keyId: 'partner',
    components: ['@method', '@authority', '@path', '@query', 'content-digest'],
    expiresAfterMs: 30_000,
    tag: undefined,
  };
  const digest = 'sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:';
  const signed = (
    more: { components?: string[]; nowMs?: number; nonce?: string; keyId?: string; path?: string } = {},
  ) => {
    const { signatureInput, signature } = signMessage(
      { kind: 'ed25519', key: privateKey },
      {
        ...settings,
        ...(more.components ? { components: more.components } : {}),
        keyId: more.keyId ?? 'partner',
      },
      {
        method: 'POST',
        origin: 'https://api.example.com',
        path: more.path ?? '/orders?id=1',
        header: (name) => (name === 'content-digest' ? digest : undefined),
        now: Date.now() + (more.nowMs ?? 0),
        nonce: more.nonce ?? `nonce-${Math.random()}`,
      },
    );
    return { 'signature-input': signatureInput, signature, 'content-digest': digest };
  };
  const ask = (world: InboundWorld, headers: Record<string, string>, more: object = {}) =>
    world.ask({ method: 'POST', path: '/orders?id=1', headers, ...more });

  test('a right signature lets in once, and nothing that it covers may differ', async (t) => {
    const world = await startInbound(t, inbound, { 'partners.json': keys });
    const good = signed();
    assert.equal((await ask(world, good)).status, 200);
    assert.equal((await ask(world, good)).status, 401, 'the same nonce again');
    assert.equal((await ask(world, signed())).status, 200);
    for (const [name, headers, more] of [
      ['no signature', { 'content-digest': digest }, {}],
      ['another method', signed(), { method: 'PUT' }],
      ['another path', signed(), { path: '/orders/2?id=1' }],
      ['another query', signed(), { path: '/orders?id=2' }],
      ['another digest', { ...signed(), 'content-digest': 'sha-256=:AAAA:' }, {}],
      ['no digest', { 'signature-input': signed()['signature-input'], signature: signed().signature }, {}],
      [
        'a component that is not covered',
        signed({ components: ['@method', '@authority', '@path', '@query'] }),
        {},
      ],
      ['too old', signed({ nowMs: -61_000 }), {}],
      ['of the future', signed({ nowMs: 30_000 }), {}],
      ['an unknown key', signed({ keyId: 'nobody' }), {}],
      ['a short nonce', signed({ nonce: 'x' }), {}],
      ['two signatures', twice(signed()), {}],
      ['the signature of another', { ...signed(), signature: signed().signature }, {}],
      ['another label', { ...signed(), signature: signed().signature.replace('sig1', 'sig2') }, {}],
      ['a parameter twice', doubled(signed()), {}],
    ] as const) {
      assert.equal((await ask(world, { ...headers }, more)).status, 401, name);
    }
  });

  const twice = (h: ReturnType<typeof signed>) => ({
    ...h,
    'signature-input': `${h['signature-input']}, ${h['signature-input'].replace('sig1', 'sig2')}`,
  });
  const doubled = (h: ReturnType<typeof signed>) => ({
    ...h,
    'signature-input': h['signature-input'].replace(/;created=/, ';created=1;created='),
  });

  test('the example of RFC 9421, appendix B.2.6, has the signature base that we read', async () => {
    const { isSignedRequest } = await import('../../../src/inbound/message-signature.ts');
    const { parseKey } = await import('../../../src/inbound/key-set.ts');
    // test-key-ed25519 of appendix B.1.4.
    const key = parseKey({
      kty: 'OKP',
      crv: 'Ed25519',
      kid: 'test-key-ed25519',
      x: 'JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs',
    })!;
    const request = {
      signatureInput:
        'sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"',
      signature:
        'sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:',
      method: 'POST',
      origin: 'https://example.com',
      path: '/foo?param=Value&Pet=dog',
      header: (name: string) =>
        ({
          date: 'Tue, 20 Apr 2021 02:07:55 GMT',
          'content-type': 'application/json',
          'content-length': '18',
        })[name],
      now: 1_618_884_473_000,
    };
    const policy = {
      keysFile: '',
      components: ['@method', '@path', '@authority'],
      maxAgeMs: 60_000,
      nonce: false,
    };
    const replay = { first: () => true };
    assert.equal(await isSignedRequest(policy, request, () => [key], replay), true);
    assert.equal(await isSignedRequest(policy, { ...request, path: '/foo2' }, () => [key], replay), false);
    assert.equal(await isSignedRequest(policy, { ...request, method: 'GET' }, () => [key], replay), false);
  });

  test('every kind of key signs', async (t) => {
    const { sign } = await import('node:crypto');
    const made = [
      createTestKey('rsa', 'PS512'),
      createTestKey('p256', 'ES256'),
      createTestKey('p384', 'ES384'),
    ];
    const world = await startInbound(t, inbound.replace(', components: [content-digest]', ''), {
      'partners.json': jwkSet(...made),
    });
    for (const { kid, privateKey: key } of made) {
      const parameters = `("@method" "@authority" "@path" "@query");created=${Math.floor(Date.now() / 1_000)};nonce="n-${Math.random()}";keyid="${kid}"`;
      const base = `"@method": POST\n"@authority": api.example.com\n"@path": /orders\n"@query": ?id=1\n"@signature-params": ${parameters}`;
      const bytes = Buffer.from(base);
      const signature =
        kid === 'rsa'
          ? sign('sha512', bytes, { key, padding: 6, saltLength: 64 })
          : sign(kid === 'p256' ? 'sha256' : 'sha384', bytes, { key, dsaEncoding: 'ieee-p1363' });
      const headers = {
        'signature-input': `s=${parameters}`,
        signature: `s=:${signature.toString('base64')}:`,
      };
      assert.equal((await ask(world, headers)).status, 200, kid);
    }
  });

  test('a token and a signature are both held to', async (t) => {
    const world = await startInbound(t, inbound.replace('      anonymous: true\n', ''), {
      'partners.json': keys,
    });
    const authorization = `Bearer ${world.token()}`;
    assert.equal((await ask(world, { ...signed(), authorization })).status, 200);
    assert.equal((await ask(world, { authorization })).status, 401);
    assert.equal((await ask(world, signed())).status, 401);
    const bad = `Bearer ${signToken(createTestKey('one'), { iss: 'x' })}`;
    assert.equal((await ask(world, { ...signed(), authorization: bad })).status, 401);
  });
});
