import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { calculateJwkThumbprint, EmbeddedJWK, jwtVerify } from 'jose';
import { createDpopProver } from '../../../src/proof/dpop.ts';

const TOKEN = 'opaque-token_1';
const REQUEST = {
  method: 'POST',
  htu: 'https://api.example.com/v1/orders',
  now: Date.UTC(2026, 0, 1),
  nonce: undefined,
};

const pairs = {
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: generateKeyPairSync('ed25519'),
};

for (const [alg, { privateKey, publicKey }] of Object.entries(pairs)) {
  const key = { privateKey, publicJwk: publicKey.export({ format: 'jwk' }) as Record<string, string> };

  test(`${alg}: a proof is what RFC 9449, section 4.2, asks for, by another library`, async () => {
    const prove = createDpopProver(key, TOKEN);
    const proof = prove({ ...REQUEST, nonce: 'n-1' });
    const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, { typ: 'dpop+jwt' });
    assert.equal(protectedHeader.alg, alg);
    assert.equal(
      await calculateJwkThumbprint(protectedHeader.jwk!),
      await calculateJwkThumbprint(key.publicJwk as never),
    );
    assert.equal('d' in protectedHeader.jwk!, false);
    const { jti, ...claims } = payload;
    assert.deepEqual(claims, {
      htm: 'POST',
      htu: REQUEST.htu,
      iat: REQUEST.now / 1000,
      ath: createHash('sha256').update(TOKEN).digest('base64url'),
      nonce: 'n-1',
    });
    assert.ok(jti);
  });

  test(`${alg}: every proof has a jti of its own, and no nonce where none is known`, async () => {
    const prove = createDpopProver(key, TOKEN);
    const ids = new Set<unknown>();
    for (let i = 0; i < 100; i++) {
      const { payload } = await jwtVerify(prove(REQUEST), EmbeddedJWK);
      assert.equal('nonce' in payload, false);
      ids.add(payload.jti);
    }
    assert.equal(ids.size, 100);
  });
}

test('another kind of key is refused before it signs', () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  assert.throws(() => createDpopProver({ privateKey, publicJwk: {} }, TOKEN), /P-256 or Ed25519/);
});
