// inbound in the configuration: what is read, and what each mistake is told.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseConfig } from '../../../src/config/parse.ts';
import { ConfigError } from '../../../src/lib/errors.ts';

const LISTEN = 'version: 1\nlisten: { check_inbound: "unix:///run/in.sock" }\n';
const IDP = 'idp: { issuer: "https://idp.example.com", audience: orders }';

const CLIENT = 'issuer: "https://idp.example.com", client_id: a, client_secret: { file: s }';
const SOURCES = `version: 1
sources:
  internal: { token_exchange: { ${CLIENT} } }
  plain: { client_credentials: { ${CLIENT} } }
  other: { token_exchange: { ${CLIENT}, subject_token: { header: x-user } } }
  acting: { token_exchange: { ${CLIENT}, actor_token: { header: x-actor } } }
  hosted: { hosts: [a.example], token_exchange: { ${CLIENT} } }
`;

function problems(text: string): string[] {
  try {
    parseConfig(text, '/etc/bearerd.yaml');
    return [];
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.problems.map(({ path, line, message }) => `${line} ${path}: ${message}`);
  }
}

const inbound = (issuers: string, policies: string, more = '') =>
  `${LISTEN}inbound:\n${more}  issuers:\n    ${issuers}\n  policies:\n    - ${policies}\n`;

test('defaults: asymmetric algorithms, every issuer of the file, the issuer’s audience, the token passed on', () => {
  const config = parseConfig(inbound(IDP, '{ name: api, match: {} }'), '/etc/bearerd.yaml').inbound!;
  const [issuer] = config.issuers;
  assert.ok(issuer?.kind === 'jwt');
  assert.deepEqual(issuer.algorithms, ['RS256', 'PS256', 'ES256', 'EdDSA']);
  assert.deepEqual(issuer.keys, { from: 'discovery' });
  assert.deepEqual(issuer.types, ['', 'jwt', 'at+jwt']);
  assert.equal(issuer.leewayMs, 30_000);
  const [policy] = config.policies;
  assert.deepEqual(policy!.issuers, ['idp']);
  assert.equal(policy!.token, 'pass');
  assert.equal(policy!.match.hosts, undefined);
  assert.deepEqual(config.failedAttempts, { requests: 500, perMs: 1_000, burst: 1_000 });
});

describe('each mistake is told with its place and the way out', () => {
  const good = '{ name: api, match: {} }';
  const table: Readonly<Record<string, [text: string, told: RegExp]>> = {
    'no listener': [
      `version: 1\nlisten: { check: "unix:///x.sock" }\ninbound:\n  issuers:\n    ${IDP}\n  policies:\n    - ${good}\n`,
      /^4 inbound: needs listen.check_inbound/,
    ],
    'no inbound': [LISTEN, /^2 listen.check_inbound: expected inbound/],
    'no policy': [`${LISTEN}inbound: { issuers: { ${IDP} } }\n`, /at least one entry of policies/],
    'no audience': [
      inbound('idp: { issuer: "https://idp.example.com" }', good),
      /inbound.policies\[0\]: expected audience, here or at the issuer idp: a token for another service would count/,
    ],
    'HS256 without a secret': [
      inbound('idp: { issuer: x, jwks_file: k, audience: a, algorithms: [HS256] }', good),
      /HS256 needs shared_secret: with public keys anyone could sign/,
    ],
    'a secret beside public keys': [
      inbound('idp: { issuer: x, jwks_file: k, shared_secret: { file: s }, audience: a }', good),
      /expected one of jwks_uri, jwks_file and shared_secret/,
    ],
    'a secret and RS256': [
      inbound('idp: { issuer: x, shared_secret: { file: s }, audience: a, algorithms: [RS256] }', good),
      /beside shared_secret only HS256/,
    ],
    'none as algorithm': [
      inbound('idp: { issuer: x, jwks_file: k, audience: a, algorithms: [none] }', good),
      /algorithms\[0\]: expected RS256/,
    ],
    'one issuer twice': [
      inbound(`${IDP}\n    again: { issuer: "https://idp.example.com", audience: a }`, good),
      /inbound.issuers.again.issuer: the issuer is that of idp already/,
    ],
    'plain http in production': [
      inbound('idp: { issuer: "http://127.0.0.1:1", audience: a }', good),
      /issuers.idp.issuer: expected https:\/\//,
    ],
    'an issuer that is no address, without keys': [
      inbound('idp: { issuer: idp, audience: a }', good),
      /discovery needs an issuer that is an address/,
    ],
    'a mistyped issuer': [
      inbound(IDP, '{ name: api, match: {}, issuers: [id] }'),
      /^7 inbound.policies\[0\].issuers\[0\]: no issuer named "id"; did you mean idp\?/,
    ],
    'leeway above a minute': [
      inbound('idp: { issuer: x, jwks_file: k, audience: a, leeway: 2m }', good),
      /leeway: expected a duration from 0ms to 1m/,
    ],
    'anonymous with scopes': [
      inbound(IDP, '{ name: api, match: {}, anonymous: true, scopes: [a] }'),
      /scopes: has no meaning with anonymous: true/,
    ],
    'two tests of one claim': [
      inbound(IDP, '{ name: api, match: {}, claims: { a: { equals: 1, prefix: b } } }'),
      /claims.a: expected exactly one of equals, in, contains, prefix/,
    ],
    'a network that is none': [
      inbound(IDP, '{ name: api, match: {}, networks: [10.0.0.0/33] }'),
      /networks\[0\]: expected a network such as 10.0.0.0\/8/,
    ],
    'an origin with a path': [
      inbound(IDP, '{ name: api, match: {}, cors: { origins: ["https://a.example/x"] } }'),
      /expected an origin such as/,
    ],
    'a claim into a header of the connection': [
      inbound(IDP, '{ name: api, match: {}, forward: { host: sub } }'),
      /the header host steers the connection/,
    ],
    'API keys without a file': [
      inbound(IDP, '{ name: api, match: {}, api_keys: true }'),
      /api_keys: needs inbound.api_keys with the file of keys/,
    ],
    'a mistyped key': [
      inbound(IDP, '{ name: api, match: {}, scope: [a] }'),
      /unknown key "scope"; did you mean scopes\?/,
    ],
  };
  const exchanging = (token: string, more = '') =>
    SOURCES + inbound(IDP, `{ name: api, match: {}, token: ${token}${more} }`).replace('version: 1\n', '');
  const internal = '{ exchange: internal }';
  const exchanges: typeof table = {
    'exchange without a source': [exchanging('exchange'), /token: expected/],
    'a mistyped source': [
      exchanging('{ exchange: interal }'),
      /no source named "interal"; did you mean internal\?/,
    ],
    'a source that exchanges nothing': [
      exchanging('{ exchange: plain }'),
      /token.exchange: plain is a client_credentials source: expected a token_exchange source/,
    ],
    'a source of another header': [
      exchanging('{ exchange: other }'),
      /other needs subject_token: \{ header: authorization \}/,
    ],
    'a source with an actor of the request': [
      exchanging('{ exchange: acting }'),
      /acting takes the actor's token from the header x-actor/,
    ],
    'a source bound to hosts': [
      exchanging('{ exchange: hosted }'),
      /sources.hosted.hosts binds its credential to outgoing requests/,
    ],
    'an API key exchanged': [
      exchanging(internal, ', api_keys: true'),
      /an API key cannot be exchanged: give api_keys a policy of its own/,
    ],
    'nobody’s token exchanged': [
      exchanging(internal, ', anonymous: true'),
      /exchange: has no meaning with anonymous: true/,
    ],
    'a bound token exchanged': [
      exchanging(internal, ', bound: dpop'),
      /a token that is bound \(dpop\) would become one that is not/,
    ],
    'the header of the exchanged token': [
      exchanging(internal, ', forward: { authorization: sub }'),
      /forward.authorization: is the header of the exchanged token already/,
    ],
  };
  for (const [name, [text, told]] of Object.entries({ ...table, ...exchanges })) {
    test(name, () => {
      const found = problems(text);
      assert.ok(
        found.some((problem) => told.test(problem)),
        found.join('\n'),
      );
    });
  }

  test('a shared secret that stands where a reference belongs is not quoted', () => {
    const found = problems(inbound('idp: { issuer: x, audience: a, shared_secret: hunter2hunter2 }', good));
    assert.ok(found.length > 0 && !found.join().includes('hunter2'), found.join());
  });
});

test('a source stays as it is for inbound, although outbound policies ask it for something else', () => {
  const text = `${SOURCES}outbound: [{ name: o, match: { hosts: [a.example] }, inject: { source: internal, audience: urn:o } }]
${inbound(IDP, '{ name: api, match: {}, token: { exchange: internal } }')
  .replace('version: 1\n', '')
  .replace('check_inbound', 'check: "unix:///run/out.sock", check_inbound')}`;
  const { sources, inbound: read } = parseConfig(text, '/etc/bearerd.yaml');
  assert.deepEqual(read!.policies[0]!.token, { exchange: 'internal' });
  assert.ok(
    sources.some(({ name }) => name === 'internal') && sources.some(({ name }) => name === 'internal:o'),
  );
});
