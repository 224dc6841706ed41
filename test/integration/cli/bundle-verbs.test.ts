// explain, generate, simulate and test beside a signed bundle: the same answers as from a file, whichever way the bundle comes.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { createAuthority } from '../../../demo/certificates.ts';
import { bearerd } from '../../support/command-line.ts';
import {
  BUNDLE_NAME,
  type BundleServer,
  createBundleSigner,
  startBundleServer,
} from '../../support/policy-bundles.ts';

const HOUR_MS = 3_600_000;
const LOCAL = `version: 1
listen: { check: "unix:///run/bearerd/check.sock", xds: "unix:///run/bearerd/xds.sock" }
`;
const policies = (host: string) => `version: 1
sources: { key: { static: { value: { file: key } } } }
outbound:
  - { name: orders, match: { hosts: [${host}] }, inject: { source: key } }
`;

const folder = mkdtempSync(join(tmpdir(), 'bearerd-bundle-verbs-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const signer = createBundleSigner();
let server: BundleServer;
let local: string;
const signed = (serial: number, host: string, patch = {}) =>
  signer.sign(serial, { 'orders.yaml': policies(host) }, patch);

before(async () => {
  const authority = await createAuthority(folder);
  server = await startBundleServer(authority);
  writeFileSync(join(folder, 'keys.pem'), signer.publicPem);
  local = file(
    'bearerd.yaml',
    `${LOCAL}state_dir: state
policy_bundle: { url: "${server.url}", name: ${BUNDLE_NAME}, keys: keys.pem, ca_file: ${authority.ca}, allow: { files: secrets } }
`,
  );
});
after(() => server.stop());
beforeEach(async () => {
  rmSync(join(folder, 'state'), { recursive: true, force: true });
  server.answer = undefined;
  server.content = await signed(2, 'served.prod');
});

function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}
function keep(jws: string): void {
  mkdirSync(join(folder, 'state'), { recursive: true });
  file('state/policy-bundle.jws', `${jws}\n`);
}

const explain = (host: string, ...flags: string[]) =>
  bearerd('explain', '--config', local, ...flags, 'GET', `http://${host}/`);

test('what the process keeps in state_dir counts before the server, and --bundle before both', async () => {
  const fromServer = await explain('served.prod');
  assert.match(fromServer.out, /policy +orders/);
  assert.equal(fromServer.err, `policy bundle production: serial 2 of ${server.url}\n`);

  keep(await signed(1, 'kept.prod'));
  server.answer = (_, response) => void response.socket!.destroy();
  const kept = await explain('kept.prod');
  assert.match(kept.out, /policy +orders/);
  assert.match(kept.err, /serial 1 of .*state\/policy-bundle\.jws\n$/);

  const named = file('next.jws', await signed(3, 'named.prod'));
  const next = await explain('named.prod', '--bundle', named);
  assert.match(next.out, /policy +orders/);
  assert.equal(next.err, `policy bundle production: serial 3 of ${named}\n`);

  const none = await explain('named.prod', '--bundle', 'none');
  assert.match(none.out, /policy +none matches/);
  assert.equal(none.err, '');
});

test('what is in force past its end is told of with its end; one that is named then is refused', async () => {
  const old = await signed(1, 'kept.prod', {
    issuedAt: Date.now() - 2 * HOUR_MS,
    expiresAt: Date.now() - HOUR_MS,
  });
  keep(old);
  const kept = await explain('kept.prod');
  assert.match(kept.out, /policy +orders/);
  assert.match(kept.err, /serial 1 of .*, expired at .*: a process that starts does not take it over/);
  const named = await explain('kept.prod', '--bundle', file('old.jws', old));
  assert.deepEqual([named.code, named.out], [1, '']);
  assert.match(named.err, /old\.jws: expired at /);
});

test('no answer is given without the bundle: of a stranger, for others, damaged, away, over its bounds', async () => {
  const stranger = createBundleSigner();
  const refused = async (jws: string, expected: RegExp) => {
    keep(jws);
    const { code, out, err } = await explain('kept.prod');
    assert.deepEqual([code, out], [1, '']);
    assert.match(err, expected);
  };
  await refused(
    await stranger.sign(1, { 'x.yaml': policies('kept.prod') }),
    /bearerd\.yaml: policy_bundle: .*signature does not hold; --bundle FILE names one/,
  );
  await refused(await signed(1, 'kept.prod', { name: 'staging' }), /aud: it is not for production/);
  await refused('no jws', /it is no JWS/);
  const program = policies('kept.prod').replace(
    'static: { value: { file: key } }',
    'exec: { command: [/bin/true] }',
  );
  await refused(
    await signer.sign(4, { 'x.yaml': program }),
    /bundle 4\/x\.yaml:2:.*a bundle runs no program/,
  );
  rmSync(join(folder, 'state'), { recursive: true });
  server.answer = (_, response) => void response.writeHead(404).end();
  assert.match((await explain('served.prod')).err, /the server answered 404/);
});

test('generate and test read it, too; what is to be signed is read with the bounds of a bundle', async () => {
  const generated = await bearerd('generate', 'istio', '--config', local, '--namespace', 'shop');
  assert.equal(generated.code, 0, generated.err);
  const plain = file('plain.yaml', `${LOCAL}${policies('served.prod').replace('version: 1\n', '')}`);
  const fromFile = await bearerd('generate', 'istio', '--config', plain, '--namespace', 'shop');
  assert.equal(generated.out, fromFile.out);

  const cases = file(
    'cases.yaml',
    'cases: [{ request: GET http://draft.prod/, expect: { policy: orders } }]\n',
  );
  const draft = file('draft.yaml', policies('draft.prod'));
  const tested = await bearerd('test', cases, '--config', local, '--bundle', draft);
  assert.deepEqual([tested.code, tested.err], [0, `policy bundle production: ${draft}, not signed\n`]);
  const outside = file('outside.yaml', policies('draft.prod').replace('file: key', 'file: /etc/shadow'));
  const { code, err } = await bearerd('test', cases, '--config', local, '--bundle', outside);
  assert.equal(code, 1);
  assert.match(err, /bundle\/outside\.yaml:2:.*\/etc\/shadow is not below policy_bundle\.allow\.files/);
});

test('simulate tells what another bundle would change for a fleet', async () => {
  keep(await signed(1, 'kept.prod'));
  const next = file('next.jws', await signed(3, 'named.prod'));
  const log = file(
    'access.json',
    ['kept.prod', 'named.prod', 'other']
      .map((host) => JSON.stringify({ method: 'GET', authority: host, path: '/' }))
      .join('\n'),
  );
  const { code, out } = await bearerd(
    ...['simulate', '--policy', local, '--bundle', next, '--config', local, '--log', log],
  );
  assert.equal(code, 0);
  assert.match(out, /^inject orders -> pass: 1\n {4}GET http:\/\/kept\.prod\/$/m);
  assert.match(out, /^pass -> inject orders: 1\n {4}GET http:\/\/named\.prod\/$/m);
  assert.match(out, /^3 requests, 1 decided as before$/m);
});

test('--stepped-back answers only by what a guard wrote, and tells when that is nothing', async () => {
  const generate = (config: string) =>
    bearerd(
      'generate',
      'istio',
      '--config',
      config,
      '--namespace',
      'shop',
      '--bundle',
      'none',
      '--stepped-back',
    );
  const rules = policies('a.prod').replace('version: 1\n', '');
  const without = await generate(file('plain.yaml', `${LOCAL}${rules}`));
  assert.deepEqual([without.code, without.out], [1, '']);
  assert.match(without.err, /plain\.yaml: state_dir: expected the folder of a running bearerd/);

  const kept = file('kept.yaml', `${LOCAL}state_dir: state\n${rules}`);
  mkdirSync(join(folder, 'state'), { recursive: true });
  const nothing = await generate(kept);
  assert.deepEqual([nothing.code, /stepped back from nothing/.test(nothing.err)], [0, true]);
  file('state/guard.json', '{ "format": 1, "poli');
  const damaged = await generate(kept);
  assert.deepEqual([damaged.code, damaged.out], [1, '']);
  assert.match(damaged.err, /state_dir: .*JSON/);
});

test('a configuration without policy_bundle has nobody whose signature would count', async () => {
  const plain = file('plain.yaml', `${LOCAL}${policies('a.prod').replace('version: 1\n', '')}`);
  const asked = ['explain', '--config', plain, 'GET', 'http://a.prod/'];
  const { code, err } = await bearerd(...asked, '--bundle', file('next.jws', await signed(3, 'a.prod')));
  assert.equal(code, 2);
  assert.match(err, /--bundle: .*plain\.yaml has no policy_bundle/);
});
