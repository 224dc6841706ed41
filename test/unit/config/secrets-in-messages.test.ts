// Whoever writes a secret where it does not belong finds no copy of it in messages: they go to logs and terminals.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig } from '../../../src/config/parse.ts';
import { ConfigError } from '../../../src/lib/errors.ts';

const CANARY = 'c4n4ry-5up3r-s3cr3t';
const ISSUER = 'issuer: https://idp.example.com';
const SOURCES: Readonly<Record<string, (secret: string) => string>> = {
  client_secret: (ref) => `client_credentials: { ${ISSUER}, client_id: a, client_secret: ${ref} }`,
  'client_secret of two': (ref) => `client_credentials: { ${ISSUER}, client_id: a, client_secret: [${ref}] }`,
  'private_key_jwt.key': (ref) =>
    `client_credentials: { ${ISSUER}, client_id: a, private_key_jwt: { key: ${ref} } }`,
  'static.value': (ref) => `static: { value: ${ref} }`,
  static: (ref) => `static: ${ref}`,
  'http.secrets': (ref) =>
    `http: { url: "https://idp.example.com/t", secrets: { pass: ${ref} }, response: { token: /t } }`,
  'refresh_token.store.key': (ref) =>
    `refresh_token: { ${ISSUER}, client_id: a, store: { file: /s, key: ${ref} } }`,
  'jwt_bearer.key': (ref) => `jwt_bearer: { ${ISSUER}, key: ${ref} }`,
  'signed_jwt.key': (ref) => `signed_jwt: { key: ${ref} }`,
  api_keys: (ref) => `api_keys: ${ref}`,
  'http.url': () => `http: { url: "https://user:${CANARY}@idp.example.com/t", response: { token: /t } }`,
  'http.url without https': () =>
    `http: { url: "ftp://u:${CANARY}@idp.example.com/t", response: { token: /t } }`,
  issuer: () =>
    `client_credentials: { issuer: "https://u:${CANARY}@idp.example.com", client_id: a, client_secret: { env: A } }`,
  'issuer without https': () =>
    `client_credentials: { issuer: "u:${CANARY}@idp.example.com", client_id: a, client_secret: { env: A } }`,
};
const SETTINGS: Readonly<Record<string, (secret: string) => string>> = {
  'audit.key': (ref) => `audit: { sink: stdout, key: ${ref} }`,
  'redis.password': (ref) =>
    `shared_cache: { redis: { address: "r:1", password: ${ref} }, tenant: a, keys: [{ env: K }] }`,
  'shared_cache.keys': (ref) => `shared_cache: { redis: { address: "r:1" }, tenant: a, keys: [${ref}] }`,
  'shared_cache.keys as one': (ref) => `shared_cache: { redis: { address: "r:1" }, tenant: a, keys: ${ref} }`,
  'redis.address': () =>
    `shared_cache: { redis: { address: "redis://u:${CANARY}@r:1" }, tenant: a, keys: [{ env: K }] }`,
  'redis.cluster': () =>
    `shared_cache: { redis: { cluster: ["redis://u:${CANARY}@r:1"] }, tenant: a, keys: [{ env: K }] }`,
  'inbound shared_secret': (ref) =>
    `inbound: { issuers: [{ name: a, issuer: "https://i.example", shared_secret: ${ref} }], policies: [] }`,
  'inbound client_secret': (ref) =>
    `inbound: { issuers: [{ name: a, issuer: "https://i.example", introspection: { url: "https://i.example/x", client_id: a, client_secret: ${ref} } }], policies: [] }`,
};

function problemsOf(text: string): string {
  try {
    parseConfig(text, '/etc/bearerd/bearerd.yaml');
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems.map(({ path, message }) => `${path}: ${message}`).join('\n');
  }
  return assert.fail('it was taken');
}

const SHAPES: Readonly<Record<string, string>> = {
  'as a bare text': CANARY,
  'as a key': `{ ${CANARY} }`,
  'as a key with a value': `{ ${CANARY}: x }`,
  'under a mistyped key': `{ inlin: ${CANARY} }`,
  'inline in production': `{ inline: ${CANARY} }`,
  'in a list': `[[${CANARY}]]`,
};

for (const [place, source] of Object.entries(SOURCES)) {
  for (const [shape, ref] of Object.entries(SHAPES)) {
    test(`a secret at ${place} ${shape} is not repeated`, () => {
      const text = `version: 1\nlisten: { xds: "unix:///x.sock" }\nsources:\n  orders: { ${source(ref)} }\n`;
      assert.doesNotMatch(problemsOf(text), new RegExp(CANARY));
    });
  }
}
for (const [place, setting] of Object.entries(SETTINGS)) {
  for (const [shape, ref] of Object.entries(SHAPES)) {
    test(`a secret at ${place} ${shape} is not repeated`, () => {
      const text = `version: 1\nlisten: { xds: "unix:///x.sock" }\nsources: { a: { static: { value: { env: A } } } }\n${setting(ref)}\n`;
      assert.doesNotMatch(problemsOf(text), new RegExp(CANARY));
    });
  }
}
