import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { test } from 'node:test';
import { CompactSign } from 'jose';
import {
  type Bundle,
  BundleFault,
  MAX_BUNDLE_BYTES,
  parsePinnedKeys,
  signBundle,
  timeProblem,
  verifyBundle,
} from '../../../src/bundle/signed-bundle.ts';

const NOW = Date.UTC(2026, 0, 1);
const BUNDLE: Bundle = {
  name: 'production',
  serial: 7,
  issuedAt: NOW,
  expiresAt: NOW + 3_600_000,
  files: { '10-orders.yaml': 'version: 1\n' },
};
const pem = (key: KeyObject) => key.export({ type: 'spki', format: 'pem' }) as string;
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const keys = parsePinnedKeys(pem(publicKey));
const base64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const PAYLOAD = { aud: 'production', serial: 7, iat: NOW / 1000, exp: NOW / 1000 + 60, files: BUNDLE.files };

/** A good signature over whatever is wanted. */
function signed(payload: object | string, header: object = {}): Promise<string> {
  const bytes = Buffer.from(typeof payload === 'string' ? payload : JSON.stringify(payload));
  return new CompactSign(bytes)
    .setProtectedHeader({ alg: 'ES256', typ: 'bearerd-bundle+jws', ...header })
    .sign(privateKey);
}

const refusal = async (jws: string, pinned = keys): Promise<string> => {
  try {
    await verifyBundle(jws, pinned, 'production');
  } catch (error) {
    assert.ok(error instanceof BundleFault, String(error));
    return error.message;
  }
  return 'taken';
};

test('what was signed comes back, by every kind of key', async () => {
  const pairs = [
    generateKeyPairSync('ed25519'),
    { privateKey, publicKey },
    generateKeyPairSync('ec', { namedCurve: 'P-384' }),
    generateKeyPairSync('ec', { namedCurve: 'P-521' }),
    generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ];
  for (const pair of pairs) {
    const jws = await signBundle(BUNDLE, { key: pair.privateKey, jwk: undefined });
    const { digest, ...found } = await verifyBundle(
      `${jws}\n`,
      parsePinnedKeys(pem(pair.publicKey)),
      'production',
    );
    assert.deepEqual(found, BUNDLE);
    assert.match(digest, /^[0-9a-f]{64}$/);
  }
});

test('of several pinned keys one is enough, in PEM or a JWK Set, so that keys can change', async () => {
  const other = generateKeyPairSync('ed25519').publicKey;
  const jws = await signed(PAYLOAD);
  assert.equal(await refusal(jws, parsePinnedKeys(pem(other) + pem(publicKey))), 'taken');
  const set = { keys: [other.export({ format: 'jwk' }), publicKey.export({ format: 'jwk' })] };
  assert.equal(await refusal(jws, parsePinnedKeys(JSON.stringify(set))), 'taken');
  assert.match(await refusal(jws, parsePinnedKeys(pem(other))), /none of the pinned keys/);
});

const forged = (header: object, sign: (input: string) => Buffer): string => {
  const input = `${base64({ typ: 'bearerd-bundle+jws', ...header })}.${base64(PAYLOAD)}`;
  return `${input}.${sign(input).toString('base64url')}`;
};

test('an unsigned bundle, one signed by the public key as a secret, and one of another key are refused', async () => {
  assert.match(await refusal(forged({ alg: 'none' }, () => Buffer.alloc(0))), /none of the pinned keys/);
  for (const secret of [pem(publicKey), publicKey.export({ type: 'spki', format: 'der' })]) {
    const jws = forged({ alg: 'HS256' }, (input) => createHmac('sha256', secret).update(input).digest());
    assert.match(await refusal(jws), /none of the pinned keys/);
  }
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const stranger = await signBundle(BUNDLE, { key: other, jwk: undefined });
  assert.match(await refusal(stranger), /signature does not hold/);
  // A key of its own in the header counts for nothing.
  const jwk = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const own = await new CompactSign(Buffer.from(JSON.stringify(PAYLOAD)))
    .setProtectedHeader({
      alg: 'ES256',
      typ: 'bearerd-bundle+jws',
      jwk: jwk.publicKey.export({ format: 'jwk' }),
    })
    .sign(jwk.privateKey);
  assert.match(await refusal(own), /signature does not hold/);
});

test('a bundle with one byte changed or cut off is refused', async () => {
  const jws = await signed(PAYLOAD);
  const [header, payload, signature] = jws.split('.') as [string, string, string];
  const other = base64({ ...PAYLOAD, serial: 8 });
  for (const changed of [
    `${header}.${other}.${signature}`,
    `${header}.${payload}.`,
    jws.slice(0, -2),
    jws.slice(0, jws.length / 2),
    `${header}.${payload}`,
    '',
    '<html>',
  ]) {
    assert.notEqual(await refusal(changed), 'taken', changed);
  }
});

test('another JWS of the same key is no bundle, and extensions are refused', async () => {
  assert.match(await refusal(await signed(PAYLOAD, { typ: 'JWT' })), /^typ: expected bearerd-bundle\+jws$/);
  assert.match(await refusal(await signed(PAYLOAD, { b64: true, crit: ['b64'] })), /^crit: /);
});

test('what is signed well and says something else than a bundle is refused with what was expected', async () => {
  const cases: readonly (readonly [payload: object | string, expected: RegExp])[] = [
    [{ ...PAYLOAD, aud: 'staging' }, /^aud: it is not for production$/],
    [{ ...PAYLOAD, aud: ['production', 'staging'] }, /^aud: /],
    [{ ...PAYLOAD, aud: undefined }, /^aud: /],
    [{ ...PAYLOAD, serial: '7' }, /^serial: /],
    [{ ...PAYLOAD, serial: -1 }, /^serial: /],
    [{ ...PAYLOAD, serial: 1e300 }, /^serial: /],
    [{ ...PAYLOAD, exp: undefined }, /^exp: /],
    [{ ...PAYLOAD, exp: 9e15 }, /^exp: /],
    [{ ...PAYLOAD, exp: PAYLOAD.iat }, /^exp: /],
    [{ ...PAYLOAD, iat: null }, /^iat: /],
    [{ ...PAYLOAD, files: {} }, /^files: /],
    [{ ...PAYLOAD, files: ['version: 1'] }, /^files: /],
    [{ ...PAYLOAD, files: { '../x.yaml': '' } }, /^files: /],
    [{ ...PAYLOAD, files: { 'x.yaml': {} } }, /^files: /],
    [JSON.stringify(PAYLOAD).replace('"serial":7', '"serial":9,"serial":7'), /a key stands there twice/],
    ['null', /^aud: /],
    ['[', /not JSON/],
  ];
  for (const [payload, expected] of cases) assert.match(await refusal(await signed(payload)), expected);
});

test('it may be taken over between iat, with a minute for clocks, and exp', () => {
  assert.equal(timeProblem(BUNDLE, NOW), undefined);
  assert.equal(timeProblem(BUNDLE, NOW - 59_000), undefined);
  assert.match(timeProblem(BUNDLE, NOW - 61_000)!, /one of the two clocks is wrong/);
  assert.match(timeProblem(BUNDLE, NOW + 3_600_000)!, /^expired at 2026-01-01T01:00:00/);
});

test('keys that anybody has, or that are too weak, verify nothing', () => {
  const refused = (text: string, expected: RegExp) => assert.throws(() => parsePinnedKeys(text), expected);
  refused(JSON.stringify({ keys: [{ kty: 'oct', k: 'c2VjcmV0' }] }), /no usable key/);
  refused(JSON.stringify({ keys: [privateKey.export({ format: 'jwk' })] }), /no usable key/);
  refused(privateKey.export({ type: 'pkcs8', format: 'pem' }) as string, /a private key stands among them/);
  refused(pem(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey), /no usable key/);
  refused('nothing', /no usable key/);
});

test('nothing is signed that nobody would take: a weak key, or too large', async () => {
  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey;
  await assert.rejects(signBundle(BUNDLE, { key: weak, jwk: undefined }), BundleFault);
  const files = { 'x.yaml': '#'.repeat(MAX_BUNDLE_BYTES) };
  await assert.rejects(signBundle({ ...BUNDLE, files }, { key: privateKey, jwk: undefined }), /larger than/);
});
