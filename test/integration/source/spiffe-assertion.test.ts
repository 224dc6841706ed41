// client_credentials with a JWT-SVID as the client's proof: the token endpoint verifies it with the trust domain's keys.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { issueFailure } from '../../support/issue.ts';
import { startUpstream } from '../../support/loopback.ts';
import { issuedBy, sourceOf } from '../../support/token-source.ts';
import { startWorkloadApi } from '../../support/workload-api.ts';

const SPIFFE_ID = 'spiffe://example.org/checkout';

async function setUp(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-spiffe-'));
  const api = await startWorkloadApi({ socket: join(folder, 'agent.sock') });
  t.after(async () => {
    await api.stop();
    rmSync(folder, { recursive: true });
  });
  const seen: (string | undefined)[] = [];
  const port = await startUpstream(t, (request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += chunk));
    request.on('end', async () => {
      const form = new URLSearchParams(body);
      response.setHeader('content-type', 'application/json');
      try {
        assert.equal(
          form.get('client_assertion_type'),
          'urn:ietf:params:oauth:client-assertion-type:jwt-spiffe',
        );
        assert.equal(form.get('client_secret'), null);
        const { payload } = await jwtVerify(form.get('client_assertion')!, createLocalJWKSet(api.jwks()), {
          audience: `http://127.0.0.1:${port}/token`,
        });
        seen.push(payload.sub);
        response.end(JSON.stringify({ access_token: 'a-1', token_type: 'Bearer', expires_in: 60 }));
      } catch {
        response.writeHead(401);
        response.end(JSON.stringify({ error: 'invalid_client' }));
      }
    });
  });
  const words = (spiffe: object = {}) => ({
    client_credentials: {
      token_endpoint: `http://127.0.0.1:${port}/token`,
      client_id: SPIFFE_ID,
      client_assertion: { spiffe: { socket: `unix://${api.socket}`, ...spiffe } },
    },
  });
  return { api, seen, words };
}

test('the endpoint accepts the SVID, whose audience is the endpoint itself', async (t) => {
  const { api, seen, words } = await setUp(t);
  assert.equal((await issuedBy(words())).value.reveal(), 'a-1');
  assert.deepEqual(seen, [SPIFFE_ID]);
  await api.rotate();
  assert.equal((await issuedBy(words())).value.reveal(), 'a-1', 'a fresh SVID for each call');
});

test('another audience is sent where it is configured, and the endpoint refuses it', async (t) => {
  const { api, words } = await setUp(t);
  const error = await issueFailure(await sourceOf(words({ audience: 'elsewhere' })));
  assert.equal(error.code, 'source_rejected');
  assert.deepEqual(api.fetched.at(-1), ['elsewhere']);
});

test('a Workload API that is away is told as such, and nothing is sent', async (t) => {
  const { api, seen, words } = await setUp(t);
  await api.stop();
  const error = await issueFailure(await sourceOf(words()));
  assert.equal(error.code, 'source_unavailable');
  assert.match(error.message, /Workload API/);
  assert.deepEqual(seen, []);
});
