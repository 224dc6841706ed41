// The inbound side: every token and key that callers send, good and bad, is looked for wherever bearerd writes. Envoy's access
// log has the id of a refusal, in the format of docs/logs.md, and no more of it.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse, stringify } from 'yaml';
import { withAccessLog } from '../support/access-log-file.ts';
import { assertNowhere, needles, shownBy } from '../support/canary.ts';
import { startInboundEnvoy } from '../support/inbound-envoy.ts';
import { goodClaims, ISSUER } from '../support/inbound-world.ts';
import { createTestKey, signToken } from '../support/token-issuer.ts';

const MARK = 'c4n4ry';
const API_KEY = `${MARK}-api-key-of-a-partner`;

test('inbound: no token and no key of a caller is in logs, pages, audit or Envoy, and a refusal has one id in both logs', async (t) => {
  const [, decisionFormat] = /`(%RESP\([^`]*%)`/.exec(readFileSync('docs/logs.md', 'utf8'))!;
  const sha256 = createHash('sha256').update(API_KEY).digest('hex');
  const world = await startInboundEnvoy(t, {
    inbound: `
  issuers:
    idp: { issuer: "${ISSUER}", jwks_file: jwks.json, audience: orders  }
  api_keys: { file: keys.yaml }
  revocation: { file: revoked.jsonl, max_age: 5m }
  policies:
    - { name: partners, match: { paths: [/partners/] }, api_keys: true, forward: { x-partner: client_id } }
    - { name: write, match: { paths: [/write/] }, scopes: [orders.write] }
    - { name: watched, match: { paths: [/watched/] }, mode: shadow, scopes: [a] }
    - { name: read, match: {}, forward: { x-user: sub } }
`,
    files: {
      'keys.yaml': `keys: [{ id: globex, sha256: "${sha256}", state: active }]\n`,
      'revoked.jsonl': `{"jti":"taken-back"}\n`,
      'audit-key': `${MARK}-audit-key`,
    },
    settings: `log: { level: trace }
audit: { sink: { file: audit.jsonl }, key: { file: audit-key } }`,
    patch: (bootstrap) =>
      stringify(withAccessLog(parse(bootstrap), 'FOLDER/envoy.log', `${decisionFormat}\n`)),
  });
  const secrets = new Set([MARK, API_KEY]);
  const token = (more: object = {}, key = world.key, header: object = {}) => {
    const made = signToken(
      key,
      { ...goodClaims(), secret: `${MARK}-claim`, ...more },
      header as Record<string, unknown>,
    );
    secrets.add(made);
    secrets.add(made.split('.')[2]!);
    return { authorization: `Bearer ${made}` };
  };
  const sent: [string, Record<string, string>, number][] = [
    ['/read/1', token(), 200],
    ['/partners/1', { 'x-api-key': API_KEY }, 200],
    ['/watched/1', token(), 200],
    ['/write/1', token(), 403],
    ['/read/2', token({ exp: 1 }), 401],
    ['/read/3', token({ jti: 'taken-back' }), 401],
    ['/read/4', token({ aud: `${MARK}-audience` }), 401],
    ['/read/5', token({ iss: `https://${MARK}.example.com` }), 401],
    ['/read/6', token({}, createTestKey('one')), 401],
    ['/read/7', token({}, world.key, { kid: `${MARK}-kid`, jku: `https://${MARK}.example` }), 401],
    ['/read/8', { authorization: `Bearer ${MARK}` }, 401],
    ['/read/9', { authorization: `Basic ${Buffer.from(`a:${MARK}`).toString('base64')}` }, 401],
    ['/partners/10', { ...token(), 'x-api-key': API_KEY }, 401],
    ['/partners/2', { 'x-api-key': `${MARK}-wrong-key` }, 401],
    ['/read/11', { ...token(), dpop: `${MARK}.proof.x` }, 200],
    ['/read/12', { cookie: `session=${MARK}` }, 401],
  ];
  const decisions: string[] = [];
  for (const [path, headers, status] of sent) {
    const seen = await world.send(`${path}?access_token=${MARK}`, headers);
    assert.equal(seen.status, status, `${path} ${seen.body}`);
    decisions.push(String(seen.headers['x-bearerd-decision'] ?? '-'));
    if (status !== 200) assertNowhere(new Map([['the answer', JSON.stringify(seen)]]), needles(secrets));
  }
  const places = new Map<string, string>([
    ...(await shownBy(join(world.folder, 'bearerd.yaml'), join(world.folder, 'admin.sock'))),
    ['/metrics', await world.metrics()],
    ["Envoy's statistics", await world.envoy.admin('/stats')],
    ["Envoy's configuration", await world.envoy.admin('/config_dump')],
  ]);
  await world.envoy.stop();
  await world.bearerd.stop();
  const log = world.bearerd.output();
  const accessLog = readFileSync(join(world.folder, 'envoy.log'), 'utf8');
  places.set('standard output and error', log);
  places.set('the audit trail', readFileSync(join(world.folder, 'audit.jsonl'), 'utf8'));
  places.set("Envoy's access log", accessLog);
  assertNowhere(places, needles(secrets));
  assert.match(places.get('the audit trail')!, /"event":"inbound_refused"/);

  assert.deepEqual(accessLog.trim().split('\n'), decisions, 'each answer has its line, in turn');
  const logged = [...log.matchAll(/"operation":"inbound_refused".*?"decision":"([^"]+)"/g)].map(
    ([, id]) => id!,
  );
  assert.ok(logged.length >= 5, log);
  const refused = decisions.filter((id) => id !== '-');
  assert.equal(new Set(refused).size, refused.length);
  const shadowed = logged.filter((id) => !refused.includes(id));
  assert.equal(shadowed.length, 1, 'only the one in shadow has no answer');
  t.diagnostic(
    `${secrets.size} secrets sought in ${places.size} places; ${logged.length} refusals by their ids`,
  );
});
