// The client credentials source against a loopback provider that misbehaves on demand: real HTTP, scripted faults.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, test } from 'node:test';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { issueFailure, issueRequest } from '../../support/issue.ts';
import { listening } from '../../support/loopback.ts';
import { freePort } from '../../support/ports.ts';
import { createRecordingObserver } from '../../support/recording-observer.ts';
import { issuedBy, sourceOf } from '../../support/token-source.ts';

let reply: (request: IncomingMessage, response: ServerResponse, body: string) => void;
const server = createServer((request, response) => {
  let body = '';
  request.on('data', (chunk) => (body += chunk));
  request.on('end', () => reply(request, response, body));
});

const endpoint = `http://127.0.0.1:${await listening({ after }, server)}/token`;

const words = (patch: object = {}) => ({
  client_credentials: {
    token_endpoint: endpoint,
    client_id: 'a client',
    client_secret: { inline: 's+e/c:r%e t' },
    scope: ['a', 'b'],
    audience: 'api',
    resource: ['urn:x', 'urn:y'],
    extra_params: { tenant: 't' },
    ...patch,
  },
});

const json = (
  response: ServerResponse,
  status: number,
  value: unknown,
  headers: Record<string, string> = {},
) => {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(typeof value === 'string' ? value : JSON.stringify(value));
};

const issue = (patch: object = {}) => issuedBy(words(patch));

const failure = async (patch: object = {}) => issueFailure(await sourceOf(words(patch)));

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
    assert.ok(token.lifetimeMs! > 590_000 && token.lifetimeMs! <= 600_000);
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
    await issue({ client_auth: 'client_secret_post' });
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
      /no token response: not JSON/,
    ],
    [
      'HTML with 200',
      (_, r) => json(r, 200, '<html>secret-body</html>', { 'content-type': 'text/html' }),
      'source_invalid_response',
      /an HTML page/,
    ],
    [
      'HTML that says it is JSON',
      (_, r) => json(r, 200, '<!DOCTYPE html><p>secret-body'),
      'source_invalid_response',
      /an HTML page/,
    ],
    [
      'HTML with 404',
      (_, r) => json(r, 404, '<html>secret-body</html>', { 'content-type': 'text/html; charset=utf-8' }),
      'source_invalid_response',
      /\(404\) is an HTML page .* is this the token endpoint/,
    ],
    [
      'another content type',
      (_, r) =>
        json(r, 200, 'access_token=secret-body', { 'content-type': 'application/x-www-form-urlencoded' }),
      'source_invalid_response',
      /content type is not application\/json/,
    ],
    [
      'no content type',
      (_, r) => r.end(JSON.stringify(good)),
      'source_invalid_response',
      /content type is missing/,
    ],
    ['an empty answer', (_, r) => json(r, 200, ''), 'source_invalid_response', /is empty/],
    ['a list', (_, r) => json(r, 200, [good]), 'source_invalid_response', /its JSON is no object/],
    [
      'deep JSON',
      (_, r) => json(r, 200, `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`),
      'source_invalid_response',
      /nested deeper than 32/,
    ],
    [
      'a name twice',
      (_, r) => json(r, 200, '{"access_token":"abc","token_type":"Bearer","access_token":"secret-body"}'),
      'source_invalid_response',
      /a key stands there twice/,
    ],
    [
      'a name twice in two spellings',
      (_, r) =>
        json(r, 200, '{"access_token":"abc","token_type":"Bearer","access\\u005ftoken":"secret-body"}'),
      'source_invalid_response',
      /a key stands there twice/,
    ],
    ['10 MB', (_, r) => json(r, 200, 'x'.repeat(10 << 20)), 'source_invalid_response', /larger than/],
    [
      '10 MB in 10 kB of gzip',
      (_, r) => {
        r.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' });
        r.end(gzipSync('x'.repeat(10 << 20)));
      },
      'source_invalid_response',
      /larger than 1048576 bytes after decompression/,
    ],
    [
      'gzip that is none',
      (_, r) => json(r, 200, good, { 'content-encoding': 'gzip' }),
      'source_invalid_response',
      /no gzip data/,
    ],
    [
      'a coding of its own',
      (_, r) => json(r, 200, good, { 'content-encoding': 'zstd' }),
      'source_invalid_response',
      /other than gzip, deflate and br/,
    ],
    [
      'invalid_client',
      (_, r) => json(r, 401, { error: 'invalid_client', error_description: 'secret-body' }),
      'source_rejected',
      /401: invalid_client/,
    ],
    [
      'invalid_client beside a challenge',
      (_, r) =>
        json(r, 401, { error: 'invalid_client' }, { 'www-authenticate': 'Basic realm="secret-body"' }),
      'source_rejected',
      /401: invalid_client/,
    ],
    [
      'a bare challenge',
      (_, r) => {
        r.writeHead(401, { 'www-authenticate': 'Basic realm="secret-body"' });
        r.end();
      },
      'source_rejected',
      /401 with a challenge/,
    ],
    [
      'a refusal with 200',
      (_, r) => json(r, 200, { error: 'invalid_scope', error_description: 'secret-body' }),
      'source_rejected',
      /invalid_scope/,
    ],
    [
      'an error code that is a sentence',
      (_, r) => json(r, 400, { error: 'secret-body: no' }),
      'source_rejected',
      /400: an error/,
    ],
    [
      'another token type',
      (_, r) => json(r, 200, { ...good, token_type: 'MAC' }),
      'source_invalid_response',
      /the token_type is not Bearer/,
    ],
    [
      'a DPoP token that nobody asked for',
      (_, r) => json(r, 200, { ...good, token_type: 'DPoP' }),
      'source_invalid_response',
      /the token_type is not Bearer/,
    ],
    [
      'no token type',
      (_, r) => json(r, 200, { access_token: 'abc' }),
      'source_invalid_response',
      /no token_type/,
    ],
    [
      'no token',
      (_, r) => json(r, 200, { token_type: 'Bearer' }),
      'source_invalid_response',
      /no access_token/,
    ],
    [
      'an empty token',
      (_, r) => json(r, 200, { ...good, access_token: '' }),
      'source_invalid_response',
      /access_token is empty/,
    ],
    [
      'a token that is a number',
      (_, r) => json(r, 200, { ...good, access_token: 7 }),
      'source_invalid_response',
      /access_token is no text/,
    ],
    [
      'a token with a line break',
      (_, r) => json(r, 200, { ...good, access_token: 'abc\r\nx: secret-body' }),
      'source_invalid_response',
      /characters that RFC 6750 does not allow/,
    ],
    ...['-1', '0', '1e12', '1e400', '"long"', '"-5"', '""', '{}', 'true'].map(
      (life): [string, typeof reply, string, RegExp] => [
        `a life of ${life}`,
        (_, r) => json(r, 200, JSON.stringify(good).replace('600', life)),
        'source_invalid_response',
        /expires_in/,
      ],
    ),
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
    assert.equal((await failure({ token_endpoint: 'http://127.0.0.1:1/token' })).code, 'source_unavailable');
  });

  test('silence ends with the caller’s signal as source_timeout', async () => {
    reply = () => {};
    const source = await sourceOf(words());
    await assert.rejects(source.issue(issueRequest({ signal: AbortSignal.timeout(100) })), {
      code: 'source_timeout',
    });
    await source.close?.();
  });
});

describe('answers that are taken', () => {
  const taken: readonly (readonly [string, typeof reply])[] = [
    ['the token type in any case', (_, r) => json(r, 200, { ...good, token_type: 'bEaReR' })],
    [
      'a content type with a parameter',
      (_, r) => json(r, 200, good, { 'content-type': 'Application/JSON; charset=UTF-8' }),
    ],
    ['digits as text (Entra, v1)', (_, r) => json(r, 200, { ...good, expires_in: '600' })],
    ...(
      [
        ['gzip', gzipSync],
        ['deflate', deflateSync],
        ['br', brotliCompressSync],
      ] as const
    ).map(([coding, compress]): [string, typeof reply] => [
      coding,
      (_, r) => {
        r.writeHead(200, { 'content-type': 'application/json', 'content-encoding': coding });
        r.end(compress(JSON.stringify(good)));
      },
    ]),
  ];
  for (const [what, answer] of taken) {
    test(what, async () => {
      reply = answer;
      const token = await issue();
      assert.equal(token.value.reveal(), 'abc');
      assert.ok(token.lifetimeMs! > 590_000 && token.lifetimeMs! <= 600_000);
    });
  }
});

describe('two secrets', () => {
  const two = { client_secret: [{ inline: 'new' }, { inline: 'old' }], client_auth: 'client_secret_post' };

  test('the other one is tried when the provider answers invalid_client, and kept', async () => {
    const seen: string[] = [];
    reply = (_, r, body) => {
      const secret = new URLSearchParams(body).get('client_secret')!;
      seen.push(secret);
      if (secret === 'old') json(r, 200, good);
      else json(r, 401, { error: 'invalid_client' });
    };
    const source = await sourceOf(words(two));
    await source.issue(issueRequest());
    await source.issue(issueRequest());
    await source.close?.();
    assert.deepEqual(seen, ['new', 'old', 'old']);
  });

  test('401 is enough, whatever the code beside it (Keycloak says unauthorized_client)', async () => {
    reply = (_, r, body) =>
      new URLSearchParams(body).get('client_secret') === 'old'
        ? json(r, 200, good)
        : json(r, 401, { error: 'unauthorized_client' });
    assert.equal((await issue(two)).value.reveal(), 'abc');
  });

  test('one that cannot be read does not stop the other', async () => {
    reply = (_, r, body) =>
      new URLSearchParams(body).get('client_secret') === 'old'
        ? json(r, 200, good)
        : json(r, 401, { error: 'invalid_client' });
    const token = await issue({
      client_secret: [{ env: 'NOT_YET' }, { inline: 'old' }],
      client_auth: 'client_secret_post',
    });
    assert.equal(token.value.reveal(), 'abc');
  });

  // As the exchanges of many users are: each that was refused went on to the next secret, so that half came back to the wrong one.
  test('two calls side by side whose secret is refused both go on with the other one', async () => {
    let arrived = 0;
    let both = () => {};
    const met = new Promise<void>((resolve) => (both = resolve));
    reply = (_, r, body) => {
      if (new URLSearchParams(body).get('client_secret') === 'old') return json(r, 200, good);
      if (++arrived === 2) both();
      void met.then(() => json(r, 401, { error: 'invalid_client' }));
    };
    const source = await sourceOf(words(two));
    const tokens = await Promise.all([source.issue(issueRequest()), source.issue(issueRequest())]);
    await source.close?.();
    assert.deepEqual(
      tokens.map(({ value }) => value.reveal()),
      ['abc', 'abc'],
    );
  });

  test('when both are refused there are two calls and no more', async () => {
    let calls = 0;
    reply = (_, r) => {
      calls++;
      json(r, 401, { error: 'invalid_client' });
    };
    assert.match((await failure(two)).message, /401: invalid_client/);
    assert.equal(calls, 2);
  });

  test('another refusal is no reason for the other one', async () => {
    let calls = 0;
    reply = (_, r) => {
      calls++;
      json(r, 400, { error: 'invalid_scope' });
    };
    assert.match((await failure(two)).message, /400: invalid_scope/);
    assert.equal(calls, 1);
  });
});

describe('scope that the provider does not grant (RFC 6749 section 5.1)', () => {
  test('is told with the first token and when it changes; left out, wider or in another order it is all', async (t) => {
    const { observer, named } = createRecordingObserver();
    const source = await sourceOf(words({ scope: ['a', 'b', 'offline_access', 'api://x/.default'] }), {
      observer,
    });
    t.after(() => source.close?.());
    for (const scope of ['a', 'a', 'b a c', undefined, '', 'a  b']) {
      reply = (_, r) => json(r, 200, { ...good, scope });
      await source.issue(issueRequest());
    }
    assert.deepEqual(named('scopeWithheld'), [
      ['orders', ['b']],
      ['orders', []],
      ['orders', ['a', 'b']],
      ['orders', []],
    ]);
  });

  test('scope that is no text is no token response', async () => {
    reply = (_, r) => json(r, 200, { ...good, scope: ['a'] });
    assert.equal((await failure()).code, 'source_invalid_response');
  });
});

describe('what a stranger gets wrong is told with the way out', () => {
  const discovery = (issuer: string) => failure({ issuer, token_endpoint: undefined });
  const metadata = () => `${new URL(endpoint).origin}/.well-known/openid-configuration`;

  test('an issuer whose metadata name another one', async () => {
    reply = (_, r) => json(r, 200, { issuer: 'https://evil.example.com', token_endpoint: endpoint });
    const { code, message } = await discovery(new URL(endpoint).origin);
    assert.equal(code, 'source_invalid_response');
    assert.equal(
      message,
      `the metadata at ${metadata()} name another issuer: ours is to be theirs byte for byte, also a slash at its end`,
    );
  });

  test('an address without metadata, and one with something else', async () => {
    reply = (_, r) => json(r, 404, '');
    assert.equal(
      (await discovery(new URL(endpoint).origin)).message,
      `no metadata at ${metadata()} (404): is the issuer right? token_endpoint does without them`,
    );
    reply = (_, r) => json(r, 200, { hello: 'world' });
    assert.match(
      (await discovery(new URL(endpoint).origin)).message,
      / is no metadata of an issuer \(OAUTH_/,
    );
  });

  test('a provider that is not there, or speaks no TLS', async () => {
    const port = await freePort();
    const nobody = await failure({ token_endpoint: `http://127.0.0.1:${port}/token` });
    assert.equal(nobody.message, 'the provider cannot be reached (ECONNREFUSED): nothing listens there');
    const plain = await failure({ token_endpoint: endpoint.replace('http:', 'https:') });
    assert.match(plain.message, /: it speaks no TLS at this port$/);
  });

  test('a refusal says what to look at, as far as its code or status tells', async () => {
    const told = async (status: number, error: string) => {
      reply = (_, r) => json(r, status, { error });
      return (await failure({})).message;
    };
    assert.match(
      await told(401, 'invalid_client'),
      /401: invalid_client; are client_id and what .* \(secret, key, kid\)/,
    );
    assert.match(
      await told(401, 'unauthorized_client'),
      /; may the client use this grant, and is its secret or key right\?$/,
    );
    assert.match(await told(400, 'invalid_scope'), /; does the provider give this client all of scope\?$/);
    assert.match(await told(400, 'invalid_target'), /; does the provider know this audience or resource\?$/);
    assert.equal(await told(400, 'invalid_request'), 'the provider answered 400: invalid_request');
    assert.equal(
      await told(404, 'HTTP 404 Not Found'),
      'the provider answered 404: an error; is this the token endpoint?',
    );
  });

  test('a secret with white space at an edge; line breaks at the end of a file are none of it', async () => {
    reply = (_, r, body) =>
      new URLSearchParams(body).get('client_secret') === 'right'
        ? json(r, 200, good)
        : json(r, 401, { error: 'invalid_client' });
    const client_auth = 'client_secret_post';
    assert.equal(
      (await failure({ client_auth, client_secret: { inline: 'right ' } })).message,
      'the provider answered 401: invalid_client; client_secret begins or ends with white space',
    );
    const file = join(mkdtempSync(join(tmpdir(), 'bearerd-secret-')), 'secret');
    writeFileSync(file, 'right\r\n\n');
    assert.equal((await issue({ client_auth, client_secret: { file } })).value.reveal(), 'abc');
    rmSync(dirname(file), { recursive: true });
    const { code, message } = await failure({ client_auth, client_secret: { file } });
    assert.deepEqual(
      [code, message],
      ['secret_unreadable', `${file} cannot be read: ENOENT (there is no such file)`],
    );
  });
});
