// The http source against a small real server: an API key is changed for a short-lived token.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { UnsecuredJWT } from 'jose';
import type { SourceConfig } from '../../../src/config/config.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { Secret } from '../../../src/lib/secret.ts';
import { createTokenSource } from '../../../src/source/registry.ts';
import { nullObserver } from '../../../src/telemetry/observer.ts';
import { issued, issueFailure } from '../../support/issue.ts';
import { listening } from '../../support/loopback.ts';

type Config = Extract<SourceConfig, { type: 'http' }>;

let reply: (request: IncomingMessage, response: ServerResponse, body: string) => void;
const server = createServer((request, response) => {
  let body = '';
  request.on('data', (chunk) => (body += chunk));
  request.on('end', () => reply(request, response, body));
});
const folder = mkdtempSync(join(tmpdir(), 'bearerd-http-'));

const url = `http://127.0.0.1:${await listening({ after }, server)}/token`;
after(() => {
  rmSync(folder, { recursive: true });
});

const source = (patch: Partial<Config> = {}) =>
  createTokenSource(
    {
      name: 'orders',
      required: false,
      maxLifetimeMs: undefined,
      type: 'http',
      method: 'POST',
      url,
      secrets: { key: { from: 'inline', value: new Secret('k"1') } },
      headers: { 'x-api-key': 'Key ${key}' },
      body: undefined,
      token: '/data/token',
      end: { kind: 'lifetime', pointer: '/data/seconds' },
      caFile: undefined,
      ...patch,
    },
    { clock: systemClock, env: {}, observer: nullObserver },
  );

function json(response: ServerResponse, status: number, value: unknown, type = 'application/json') {
  response.writeHead(status, { 'content-type': type });
  response.end(typeof value === 'string' ? value : JSON.stringify(value));
}
const good = { data: { token: 't-1', seconds: 600 } };

describe('the request', () => {
  test('carries the secret in header and JSON body, escaped for each', async () => {
    let seen: unknown;
    reply = (request, response, body) => {
      seen = [
        request.method,
        request.headers['x-api-key'],
        request.headers['content-type'],
        JSON.parse(body),
      ];
      json(response, 200, good);
    };
    const body = { kind: 'json', value: { grant: { key: '${key}', n: 1 } } } as const;
    const { value, lifetimeMs } = await issued(await source({ body }));
    assert.equal(value.reveal(), 't-1');
    assert.ok(lifetimeMs! > 590_000 && lifetimeMs! <= 600_000, String(lifetimeMs));
    assert.deepEqual(seen, ['POST', 'Key k"1', 'application/json', { grant: { key: 'k"1', n: 1 } }]);
  });

  test('carries it in a form', async () => {
    let seen = '';
    reply = (_, response, body) => {
      seen = body;
      json(response, 201, good);
    };
    await issued(await source({ body: { kind: 'form', value: { a: 'b c', key: '${key}' } } }));
    assert.deepEqual(Object.fromEntries(new URLSearchParams(seen)), { a: 'b c', key: 'k"1' });
  });

  test('reads a secret file anew for each call, and refuses one with a line break inside', async () => {
    const file = join(folder, 'key');
    const secrets = { key: { from: 'file', path: file } } as const;
    let seen: unknown;
    reply = (request, response) => {
      seen = request.headers['x-api-key'];
      json(response, 200, good);
    };
    const opened = await source({ secrets });
    writeFileSync(file, 'one\n');
    await issued(opened);
    assert.equal(seen, 'Key one');
    writeFileSync(file, 'two\r\ninjected: canary\n');
    const error = await issueFailure(await source({ secrets }));
    assert.equal(error.code, 'secret_unreadable');
    assert.match(error.message, /x-api-key/);
    assert.doesNotMatch(error.message, /canary/);
  });
});

describe('the end of the token', () => {
  const ending = (end: string | number): Promise<number> => {
    reply = (_, response) => json(response, 200, { data: { token: 't' }, end });
    return source({ end: { kind: 'expires_at', pointer: '/end' } })
      .then(issued)
      .then(({ lifetimeMs }) => lifetimeMs!);
  };
  test('is told as RFC 3339, epoch seconds or milliseconds', async () => {
    const at = Date.now() + 300_000;
    for (const end of [new Date(at).toISOString(), Math.floor(at / 1_000), at]) {
      const lifetimeMs = await ending(end);
      // The Date header counts in whole seconds.
      assert.ok(lifetimeMs > 290_000 && lifetimeMs <= 301_000, `${end}: ${lifetimeMs}`);
    }
  });
  test('is never later than the exp of a JWT', async () => {
    const token = new UnsecuredJWT({}).setExpirationTime('2m').encode();
    reply = (_, response) => json(response, 200, { data: { token: `${token}x`, seconds: 600 } });
    const { lifetimeMs } = await issued(await source());
    assert.ok(lifetimeMs! > 110_000 && lifetimeMs! <= 121_000, String(lifetimeMs));
  });
});

describe('an answer that cannot be used is refused with its reason and never quoted', () => {
  const cases: readonly (readonly [string, typeof reply, string, RegExp])[] = [
    ['403', (_, r) => json(r, 403, 'canary'), 'source_rejected', /answered 403/],
    ['500', (_, r) => json(r, 500, 'canary'), 'source_unavailable', /answered 500/],
    [
      'HTML',
      (_, r) => json(r, 200, '<p>canary', 'text/html'),
      'source_invalid_response',
      /not application\/json/,
    ],
    ['cut JSON', (_, r) => json(r, 200, '{"canary'), 'source_invalid_response', /not JSON/],
    [
      'a key twice',
      (_, r) => json(r, 200, '{"data":{"token":"canary","token":"b"}}'),
      'source_invalid_response',
      /twice/,
    ],
    [
      'no token',
      (_, r) => json(r, 200, { canary: 1 }),
      'source_invalid_response',
      /no text at \/data\/token/,
    ],
    [
      'a number as token',
      (_, r) => json(r, 200, { data: { token: 7 } }),
      'source_invalid_response',
      /no text at/,
    ],
    [
      'no lifetime',
      (_, r) => json(r, 200, { data: { token: 'canary' } }),
      'source_invalid_response',
      /nothing at \/data\/seconds/,
    ],
    [
      'a lifetime of words',
      (_, r) => json(r, 200, { data: { token: 'canary', seconds: 'long' } }),
      'source_invalid_response',
      /positive/,
    ],
  ];
  for (const [what, answer, code, message] of cases) {
    test(what, async () => {
      reply = answer;
      const error = await issueFailure(await source());
      assert.equal(error.code, code, error.message);
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /canary/);
    });
  }
});
