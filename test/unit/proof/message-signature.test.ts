import assert from 'node:assert/strict';
import { createSecretKey, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { createVerifier, httpbis } from 'http-message-signatures';
import {
  type SignatureSettings,
  type SignedRequest,
  signMessage,
} from '../../../src/proof/message-signature.ts';
import type { SignatureKind } from '../../../src/proof/sign.ts';

const HEADERS: Readonly<Record<string, string>> = {
  authorization: 'Bearer token',
  'content-digest': 'sha-256=:abc=:',
  'x-list': 'a, b',
};
const SETTINGS: SignatureSettings = {
  label: 'sig1',
  keyId: 'key "1"',
  components: [
    '@method',
    '@target-uri',
    '@authority',
    '@path',
    '@query',
    '@scheme',
    'authorization',
    'content-digest',
    'x-list',
    'x-missing',
  ],
  expiresAfterMs: 30_000,
  tag: 'orders',
};
const REQUEST: SignedRequest = {
  method: 'POST',
  origin: 'https://api.example.com',
  path: '/v1/orders?a=b%20c&d',
  header: (name) => HEADERS[name],
  now: Date.now(),
  nonce: 'n-1',
};

const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ed = generateKeyPairSync('ed25519');
const secret = createSecretKey(randomBytes(32));
const keys: Record<SignatureKind, readonly [KeyObject, KeyObject]> = {
  'ecdsa-p256-sha256': [ec.privateKey, ec.publicKey],
  ed25519: [ed.privateKey, ed.publicKey],
  'hmac-sha256': [secret, secret],
};

function verify(
  kind: SignatureKind,
  key: KeyObject,
  signed: ReturnType<typeof signMessage>,
  url = REQUEST.origin + REQUEST.path,
) {
  return httpbis.verifyMessage(
    {
      keyLookup: async (parameters) => {
        assert.equal(parameters.keyid, SETTINGS.keyId);
        return { id: SETTINGS.keyId, algs: [kind], verify: createVerifier(key, kind) };
      },
      requiredFields: ['@method', '@target-uri', 'authorization'],
      requiredParams: ['created', 'expires', 'nonce', 'keyid', 'alg', 'tag'],
      maxAge: 60,
    },
    {
      method: REQUEST.method,
      url,
      headers: { ...HEADERS, 'signature-input': signed.signatureInput, signature: signed.signature },
    },
  );
}

for (const [kind, [own, theirs]] of Object.entries(keys) as [SignatureKind, [KeyObject, KeyObject]][]) {
  test(`${kind}: another library verifies it, and nothing that was changed`, async () => {
    const signed = signMessage({ kind, key: own }, SETTINGS, REQUEST);
    assert.equal(await verify(kind, theirs, signed), true);
    assert.match(signed.signatureInput, /;nonce="n-1";keyid="key \\"1\\"";alg=/);
    assert.doesNotMatch(signed.signatureInput, /x-missing/);
    assert.equal(await verify(kind, theirs, signed, 'https://api.example.com/v1/orders?a=other'), false);
  });
}
