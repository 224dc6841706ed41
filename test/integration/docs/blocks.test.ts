// Every fenced block of every document that is no configuration has a row here that runs it, names the test that does, or says
// why a build machine cannot. Configurations, and blocks without a row: test/unit/docs/blocks.test.ts.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { parse, stringify } from 'yaml';
import { loadConfig } from '../../../src/config/load.ts';
import { generateEnvoy } from '../../../src/doors/generate/generate.ts';
import { DOCUMENTS, type DocBlock, docBlocks } from '../../support/doc-blocks.ts';
import { inFolder, writeDocExample } from '../../support/doc-example.ts';
import { completed, withHttpFilter } from '../../support/doc-frame.ts';
import { runBlock } from '../../support/doc-shell.ts';
import { validateEnvoy } from '../../support/envoy.ts';
import { goodClaims } from '../../support/inbound-world.ts';
import { LOGIN_SECRET, startLoginProvider } from '../../support/login-provider.ts';
import { startAlertmanager } from '../../support/prometheus.ts';
import { createTestKey, jwkSet, signToken, type TestKey } from '../../support/token-issuer.ts';

/** A test file that runs the block by itself, and words in it which show that it does. */
interface RunBy {
  readonly file: string;
  readonly words: string;
}
type Row = RunBy | ((t: TestContext, block: DocBlock, folder: string) => Promise<void>) | string;

const by = (file: string, words: string): RunBy => ({ file, words });
const A_PICTURE = 'a picture';

const ROWS: Readonly<Record<string, Row>> = {
  'ARCHITECTURE.md#The slow loop publishes, the hot path only reads text': A_PICTURE,
  'ARCHITECTURE.md#Layout text': by('test/unit/architecture.test.ts', 'ARCHITECTURE.md'),
  'README.md#bearerd sh': by('test/e2e/demo.test.ts', 'demo/run.ts'),
  'README.md#The three doors text': A_PICTURE,
  async 'README.md#Start sh'(t, block, folder) {
    write(folder, 'bearerd.yaml', inFolder(textOf('README.md#Start yaml'), folder));
    const [checked, explained, generated, , schema] = await runBlock(t, block, folder);
    assert.equal(checked, 'bearerd.yaml: ok, 1 source, 1 policy\n');
    assert.match(explained!, /^policy +orders [\s\S]*^best door +push/m);
    await assertLoads(generated!);
    assert.ok(JSON.parse(schema!).properties.outbound);
  },
  'README.md#Two services in five commands sh': by(
    'test/e2e/two-services.test.ts',
    'Two services in five commands',
  ),
  'docs/bundle.md#Example sh': by('test/integration/docs/bundle.test.ts', 'signing'),
  'docs/bundle.md#Example sh/2': by('test/integration/docs/bundle.test.ts', 'asking'),
  'docs/doors.md#Into an Envoy of your own upstreams.yaml': by(
    'test/e2e/own-envoy.test.ts',
    'Into an Envoy of your own',
  ),
  'docs/doors.md#Into an Envoy of your own sh': by('test/e2e/own-envoy.test.ts', 'Into an Envoy of your own'),
  async 'docs/doors.md#Resilience yaml'(_t, { text }, folder) {
    const policy = { name: 'orders', match: { hosts: ['orders'] }, inject: { source: 'orders' } };
    const rules = stringify({ outbound: [{ ...policy, allow_plaintext: true, ...parse(text) }] });
    const config = await loadConfig(write(folder, 'bearerd.yaml', completed(rules)));
    assert.ok(config.outbound[0]!.resilience?.outlierDetection);
    await assertLoads(generateEnvoy(config, { door: 'attempt' }));
  },
  'docs/inbound.md#Inbound: who calls, and with what right text': A_PICTURE,
  async 'docs/inbound.md#Start sh'(t, block, folder) {
    inboundPlace(folder, 'docs/inbound.md#Start start');
    const [checked, generated, explained] = await runBlock(t, block, folder);
    assert.equal(checked, 'bearerd.yaml: ok, 0 sources, 0 policies, 1 inbound policy\n');
    await assertLoads(generated!);
    assert.match(explained!, /^policy +read /m);
  },
  async 'docs/inbound.md#Revocation sh'(t, block, folder) {
    inboundPlace(folder, 'docs/inbound.md#Revocation revocation');
    const list = write(folder, 'revoked.jsonl', '\n');
    await runBlock(t, block, folder);
    const [first, token, user] = readFileSync(list, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.equal(first!['entries'], 2);
    assert.equal(token!['jti'], '7f3a9c');
    assert.equal(user!['sub'], 'alice');
    assert.ok(user!['issued_before']);
  },
  'docs/inbound.md#API keys keys.yaml': by('test/integration/docs/inbound.test.ts', "'keys.yaml'"),
  async 'docs/inbound.md#Tools sh'(t, block, folder) {
    const key = inboundPlace(folder, 'docs/inbound.md#Start start');
    const token = `${signToken(key, { ...goodClaims(), scope: 'orders.read' })}\n`;
    for (const name of ['token', 'tokens']) write(folder, name, token);
    await runBlock(t, { ...block, text: 'bearerd serve --config bearerd.yaml\n' }, folder);
    const [inspected, verified, asked] = await runBlock(t, block, folder);
    assert.match(inspected!, /its signature was not verified/);
    assert.match(verified!, /^\{"valid":true,"issuer":"idp","subject":"alice"/);
    assert.match(asked!, /"valid":false/, 'the token of the page is none');
  },
  'docs/kubernetes.md#From nothing to enforced sidecar.yaml': by(
    'test/integration/docs/kubernetes.test.ts',
    'From nothing to enforced',
  ),
  'docs/kubernetes.md#From nothing to enforced sh': by('test/kubernetes/docs.test.ts', 'applying'),
  'docs/kubernetes.md#From nothing to enforced sh/2':
    'helm reads no version from the kube-apiserver that is built here; what it installs: test/kubernetes/chart.test.ts',
  'docs/kubernetes.md#Upgrade and removal sh': by('test/kubernetes/docs.test.ts', 'Upgrade and removal'),
  'docs/kubernetes.md#Looking after it sh':
    'needs a running pod; what it runs there: test/e2e/doctor.test.ts',
  'docs/logs.md#One query over a fleet sh': by('test/e2e/fleet-logs.test.ts', 'One query over a fleet'),
  async "docs/migration.md#From Envoy's `credential_injector` sh"(t, block, folder) {
    write(folder, 'bootstrap.yaml', readFileSync('test/fixtures/envoy/credential-injector.yaml', 'utf8'));
    const [, checked, generated] = await runBlock(t, block, folder);
    assert.equal(checked, 'bearerd.yaml: ok, 2 sources, 2 policies\n');
    assert.match(generated!, /envoy\.filters\.http\.ext_authz/);
  },
  'docs/operating.md#The status page sh': 'needs another machine with sshd',
  async 'docs/operating.md#Alerts, and whom they call yaml/2'(t, { text }) {
    const receivers = [{ name: 'platform' }, { name: 'payments' }];
    await startAlertmanager(t, { ...parse(text), receivers });
  },
  'docs/outages.md#Outages of the identity provider text': by(
    'test/full/outage.test.ts',
    'demo/outage/run.ts',
  ),
  async 'docs/rollout.md#Before a change sh'(t, block, folder) {
    const config = completed(textOf('docs/rollout.md#Rolling a policy out yaml'));
    for (const name of ['bearerd.yaml', 'new.yaml']) write(folder, name, config);
    const request = 'GET http://orders.prod.svc.cluster.local/v1/x';
    write(folder, 'cases.yaml', stringify({ cases: [{ request, expect: { policy: 'orders' } }] }));
    write(folder, 'access.json', '{"method":"GET","authority":"orders.prod.svc.cluster.local","path":"/"}\n');
    const [checked, tested, simulated] = await runBlock(t, block, folder);
    assert.match(checked!, /^new\.yaml: ok/);
    assert.match(tested!, /^1 passed, 0 failed$/m);
    assert.match(simulated!, /^1 requests, 1 decided as before/m);
  },
  'docs/shared-cache.md#What Redis is trusted with text': by(
    'test/integration/shared-cache/topology.test.ts',
    'ACL SETUSER TENANT',
  ),
  'docs/sources.md#exec cluster-token': by('test/integration/docs/sources.test.ts', "'exec'"),
  // To where a person has to act; the rest is in test/integration/cli/login.test.ts.
  async 'docs/sources.md#refresh_token sh'(t, block) {
    const provider = await startLoginProvider();
    t.after(() => provider.stop());
    const { folder } = await writeDocExample(t, 'docs/sources.md', 'refresh_token', {
      'version: 1': 'version: 1\nmode: development',
      'https://login.example.com': provider.issuer,
      '/var/lib/bearerd': '.',
    });
    write(folder, 'checkout', LOGIN_SECRET);
    write(folder, 'refresh-key', randomBytes(32).toString('base64'));
    const waiting = [/\n {2}http:\S+client_id=checkout/, /enter the code [A-Z]{4}-[A-Z]{4}/];
    await runBlock(t, block, folder, { waiting });
  },
  'docs/sources.md#api_keys maps-keys.yaml': by('test/integration/docs/sources.test.ts', 'async api_keys'),
  async 'docs/sources.md#signed_jwt yaml'(_t, { text }) {
    const jwt = 'type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication';
    const filter = { '@type': jwt, ...parse(text) };
    await assertLoads(withHttpFilter('envoy.filters.http.jwt_authn', filter));
  },
};

const blocks = docBlocks();

for (const block of blocks) {
  const row = ROWS[block.key];
  const title = `${block.document}:${block.line}: ${block.language} below "${block.heading}"`;
  if (typeof row === 'function') test(`${title} runs`, (t) => row(t, block, folderOf(t)));
  else if (typeof row === 'object') {
    test(`${title} is run by ${row.file}`, () => {
      assert.ok(readFileSync(row.file, 'utf8').includes(row.words), `${row.file} has no "${row.words}"`);
    });
  }
}

test('Envoy loads the fields of its access log that the documents name', async () => {
  const spans = DOCUMENTS.flatMap((file) => [...readFileSync(file, 'utf8').matchAll(/`(%[^`]+%)`/g)]);
  assert.ok(spans.length >= 3);
  const log = {
    '@type': 'type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog',
    path: '/dev/null',
    log_format: { json_format: Object.fromEntries(spans.map(([, field], i) => [`field${i}`, field])) },
  };
  const buffer = 'type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer';
  const envoy = withHttpFilter('envoy.filters.http.buffer', { '@type': buffer, max_request_bytes: 1 }, [
    { name: 'envoy.access_loggers.file', typed_config: log },
  ]);
  await assertLoads(envoy);
});

test('every row is for a block that is there', () => {
  const there = new Set(blocks.map(({ key }) => key));
  assert.deepEqual(
    Object.keys(ROWS).filter((key) => !there.has(key)),
    [],
  );
});

function textOf(key: string): string {
  return blocks.find((block) => block.key === key)!.text;
}

function write(folder: string, name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-docs-'));
  t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }));
  return folder;
}

/** The configuration of the block `key`, and the keys of its issuer. */
function inboundPlace(folder: string, key: string): TestKey {
  const signer = createTestKey('one');
  write(folder, 'bearerd.yaml', inFolder(completed(textOf(key)), folder));
  write(folder, 'jwks.json', jwkSet(signer));
  return signer;
}

async function assertLoads(envoy: string | object): Promise<void> {
  const { ok, output } = await validateEnvoy(envoy);
  assert.ok(ok, output);
}
