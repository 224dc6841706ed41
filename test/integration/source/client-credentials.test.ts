// The client credentials source against a loopback provider that misbehaves on demand: real HTTP, scripted faults.
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { SourceConfig } from '../../../src/config/config.ts';
import type { IssueRequest } from '../../../src/credential/credential.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { CredentialError } from '../../../src/lib/errors.ts';
import { Secret } from '../../../src/lib/secret.ts';
import { createTokenSource } from '../../../src/source/registry.ts';

let reply: (request: IncomingMessage, response: ServerResponse, body: string) => void;
let endpoint = '';
const server = createServer((request, response) => {
  let body = '';
  request.on('data', (chunk) => (body += chunk));
  request.on('end', () => reply(request, response, body));
});

before(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  endpoint = `http://127.0.0.1:${(server.address() as { port: number }).port}/token`;
});
after(() => {
  server.close();
  server.closeAllConnections();
});

function sourceOf(patch: Partial<Extract<SourceConfig, { type: 'client_credentials' }>> = {}) {
  return createTokenSource(
    {
      name: 'orders',
      type: 'client_credentials',
      required: false,
      maxLifetimeMs: undefined,
      issuer: undefined,
      tokenEndpoint: endpoint,
      clientId: 'a client',
      clientSecret: { from: 'inline', value: new Secret('s+e/c:r%e t') },
      clientAuth: 'client_secret_basic',
      scope: ['a', 'b'],
      audience: 'api',
      resource: ['urn:x', 'urn:y'],
      extraParams: { tenant: 't' },
      caFile: undefined,
      ...patch,
    },
    { clock: systemClock, env: {} },
  );
}

const json = (
  response: ServerResponse,
  status: number,
  value: unknown,
  headers: Record<string, string> = {},
) => {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(typeof value === 'string' ? value : JSON.stringify(value));
};

const within = (ms: number): IssueRequest => ({
  signal: AbortSignal.timeout(ms),
  neededBy: undefined,
  refused: undefined,
  subject: undefined,
});

async function issue(patch = {}) {
  const source = await sourceOf(patch);
  try {
    return await source.issue(within(5_000));
  } finally {
    await source.close?.();
  }
}

async function failure(patch = {}): Promise<CredentialError> {
  try {
    await issue(patch);
  } catch (error) {
    assert.ok(error instanceof CredentialError, String(error));
    return error;
  }
  assert.fail('no failure');
}

const good = { access_token: 'abc', token_type: 'Bearer', expires_in: 600 };

describe('the request', () => {
  test('carries grant, scope, audience, resources and extra parameters, and the secret form-encoded in Basic', async () => {
    let seen = { body: '', authorization: '' };
    reply = (request, response, body) => {
      seen = { body, authorization: request.headers.authorization ?? '' };
      json(response, 200, good);
    };
    const token = await issue();
    assert.equal(token.value.reveal(), 'abc');
    assert.ok(token.lifetimeMs! > 599_000 && token.lifetimeMs! <= 600_000);
    const form = new URLSearchParams(seen.body);
    assert.equal(form.get('grant_type'), 'client_credentials');
    assert.equal(form.get('scope'), 'a b');
    assert.equal(form.get('audience'), 'api');
    assert.deepEqual(form.getAll('resource'), ['urn:x', 'urn:y']);
    assert.equal(form.get('tenant'), 't');
    // RFC 6749 section 2.3.1: both parts are form-encoded before Basic joins them.
    const basic = Buffer.from(seen.authorization.replace('Basic ', ''), 'base64').toString();
    const [id, secret] = basic.split(':').map((part) => decodeURIComponent(part.replaceAll('+', ' ')));
    assert.deepEqual([id, secret], ['a client', 's+e/c:r%e t']);
  });

  test('client_secret_post puts it into the body', async () => {
    let form = new URLSearchParams();
    reply = (_, response, body) => {
      form = new URLSearchParams(body);
      json(response, 200, good);
    };
    await issue({ clientAuth: 'client_secret_post' });
    assert.equal(form.get('client_secret'), 's+e/c:r%e t');
  });
});

describe('answers of a provider in trouble', () => {
  const cases: readonly (readonly [string, typeof reply, string, RegExp])[] = [
    ['500', (_, r) => json(r, 500, 'stack trace with secret-body'), 'source_unavailable', /500/],
    [
      'a redirect',
      (_, r) => json(r, 302, '', { location: 'http://127.0.0.1:1/' }),
      'source_invalid_response',
      /redirects are not followed/,
    ],
    [
      'cut JSON',
      (_, r) => json(r, 200, '{"access_token":"secret-body'),
      'source_invalid_response',
      /token response/,
    ],
    [
      'HTML with 200',
      (_, r) => json(r, 200, '<html>secret-body</html>', { 'content-type': 'text/html' }),
      'source_invalid_response',
      /token response/,
    ],
    ['10 MB', (_, r) => json(r, 200, 'x'.repeat(10 << 20)), 'source_invalid_response', /larger than/],
    [
      'a compressed body',
      (_, r) => {
        r.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' });
        r.end(gzipSync('{}'));
      },
      'source_invalid_response',
      /compressed/,
    ],
    [
      'invalid_client',
      (_, r) => json(r, 401, { error: 'invalid_client', error_description: 'secret-body' }),
      'source_rejected',
      /401: invalid_client/,
    ],
    [
      'another token type',
      (_, r) => json(r, 200, { ...good, token_type: 'MAC' }),
      'source_invalid_response',
      /./,
    ],
    ['no token', (_, r) => json(r, 200, { token_type: 'Bearer' }), 'source_invalid_response', /./],
    ['a negative life', (_, r) => json(r, 200, { ...good, expires_in: -1 }), 'source_invalid_response', /./],
    [
      'a life of words',
      (_, r) => json(r, 200, { ...good, expires_in: 'long' }),
      'source_invalid_response',
      /./,
    ],
    ['a hung up connection', (request) => void request.socket.destroy(), 'source_unavailable', /./],
  ];
  for (const [what, answer, code, message] of cases) {
    test(`${what} is ${code}, and nothing of its body is quoted`, async () => {
      reply = answer;
      const error = await failure();
      assert.equal(error.code, code, error.message);
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /secret-body|abc/);
    });
  }

  test('429 tells the wait of Retry-After', async () => {
    reply = (_, r) => json(r, 429, '', { 'retry-after': '60' });
    assert.equal((await failure()).retryAfterMs, 60_000);
  });

  test('nobody listening is source_unavailable', async () => {
    assert.equal((await failure({ tokenEndpoint: 'http://127.0.0.1:1/token' })).code, 'source_unavailable');
  });

  test('silence ends with the caller’s signal as source_timeout', async () => {
    reply = () => {};
    const source = await sourceOf();
    await assert.rejects(source.issue(within(100)), { code: 'source_timeout' });
    await source.close?.();
  });
});

describe('discovery', () => {
  test('an issuer that names another one is refused', async () => {
    reply = (_, r) => json(r, 200, { issuer: 'https://evil.example.com', token_endpoint: endpoint });
    const error = await failure({ issuer: new URL(endpoint).origin, tokenEndpoint: undefined });
    assert.equal(error.code, 'source_invalid_response');
  });
});
