// The JWT bearer grant against a loopback provider that verifies what it gets. Keycloak's own: test/e2e/keycloak.test.ts.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { type JWTVerifyResult, jwtVerify, SignJWT } from 'jose';
import { issueFailure } from '../../support/issue.ts';
import { listening } from '../../support/loopback.ts';
import { issuedBy, sourceOf } from '../../support/token-source.ts';

const folder = mkdtempSync(join(tmpdir(), 'bearerd-jwt-bearer-'));
const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const key = join(folder, 'key.pem');
writeFileSync(key, privateKey.export({ type: 'pkcs8', format: 'pem' }));

let seen: { form: URLSearchParams; assertion: JWTVerifyResult };
const server = createServer((request, response) => {
  let body = '';
  request.on('data', (chunk) => (body += chunk));
  request.on('end', async () => {
    const form = new URLSearchParams(body);
    response.setHeader('content-type', 'application/json');
    try {
      seen = { form, assertion: await jwtVerify(form.get('assertion') ?? '', publicKey) };
      response.end('{"access_token":"abc","token_type":"Bearer","expires_in":600}');
    } catch {
      response.statusCode = 400;
      response.end('{"error":"invalid_grant"}');
    }
  });
});
const endpoint = `http://127.0.0.1:${await listening({ after }, server)}/token`;
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

const words = (assertion: object) => ({
  jwt_bearer: {
    token_endpoint: endpoint,
    client_id: 'checkout',
    client_auth: 'none',
    scope: 'orders.read',
    assertion,
  },
});

describe('jwt_bearer', () => {
  test('signs an assertion for the token endpoint that ends in a minute', async () => {
    const signed = {
      key: { file: key },
      kid: 'k1',
      issuer: 'me',
      subject: 'robot',
      claims: { team: 'blue' },
    };
    const token = await issuedBy(words({ signed }));
    assert.equal(token.value.reveal(), 'abc');
    assert.equal(seen.form.get('grant_type'), 'urn:ietf:params:oauth:grant-type:jwt-bearer');
    assert.equal(seen.form.get('client_id'), 'checkout');
    assert.equal(seen.form.get('scope'), 'orders.read');
    const { payload, protectedHeader } = seen.assertion;
    assert.deepEqual(protectedHeader, { alg: 'EdDSA', typ: 'JWT', kid: 'k1' });
    const { iss, sub, aud, iat, exp, jti, team } = payload;
    assert.deepEqual({ iss, sub, aud, team }, { iss: 'me', sub: 'robot', aud: endpoint, team: 'blue' });
    assert.equal(exp! - iat!, 60);
    assert.ok(jti);
  });

  test('each request has an assertion of its own', async () => {
    const signed = { key: { file: key }, issuer: 'me', subject: 'robot' };
    await issuedBy(words({ signed }));
    const first = seen.assertion.payload.jti;
    await issuedBy(words({ signed }));
    assert.notEqual(seen.assertion.payload.jti, first);
  });

  test('takes one from a file, and tells what the provider refused', async () => {
    const file = join(folder, 'assertion');
    const made = (by: typeof privateKey) => new SignJWT({}).setProtectedHeader({ alg: 'EdDSA' }).sign(by);
    writeFileSync(file, await made(privateKey));
    assert.equal((await issuedBy(words({ file }))).value.reveal(), 'abc');
    writeFileSync(file, await made(generateKeyPairSync('ed25519').privateKey));
    const refused = await issueFailure(await sourceOf(words({ file })));
    assert.equal(refused.code, 'source_rejected');
    assert.match(refused.message, /400: invalid_grant/);
    writeFileSync(file, 'no assertion');
    const unread = await issueFailure(await sourceOf(words({ file })));
    assert.equal(unread.code, 'secret_unreadable');
    assert.match(unread.message, /expected a signed JWT and nothing else/);
  });
});
