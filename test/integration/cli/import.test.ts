// bearerd import on a configuration that a real Envoy accepts.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { parseConfig } from '../../../src/config/parse.ts';
import { startEnvoy, validateEnvoy } from '../../support/envoy.ts';

const FIRST = 'test/fixtures/envoy/first-injectors.yaml';
const FIXTURE = 'test/fixtures/envoy/credential-injector.yaml';

async function bearerd(...args: string[]): Promise<string> {
  return (await promisify(execFile)(process.execPath, ['dist/main.js', ...args])).stdout;
}

test('Envoy’s credential_injector becomes a configuration that bearerd accepts and that does the same', async () => {
  const text = await bearerd('import', FIXTURE);
  const { sources, outbound } = parseConfig(text, 'bearerd.yaml');
  assert.deepEqual(
    outbound.map(({ name, match }) => [name, match.hosts.map((host) => host.name)]),
    [
      ['outbound', ['orders.example.com', 'legacy.example.com']],
      ['legacy', ['legacy.example.com']],
    ],
  );
  const [checkout, key] = sources;
  assert.ok(checkout?.type === 'client_credentials');
  assert.deepEqual(
    [checkout.tokenEndpoint, checkout.clientId, checkout.scope],
    ['https://idp.example.com/token', 'checkout', ['orders.read']],
  );
  assert.equal(key?.type, 'static');
  assert.match(text, /client_auth: client_secret_post/);
  assert.match(text, /header: x-api-key\n +prefix: ""/);
  assert.equal(outbound[1]!.onFailure, 'pass');
});

test('the configuration it was tried with is one that a real Envoy accepts', async () => {
  // Envoy wants files of secrets to be there.
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-import-'));
  const text = readFileSync(FIXTURE, 'utf8').replaceAll('/etc/envoy', folder);
  for (const name of ['secret.yaml', 'key.yaml']) writeFileSync(join(folder, name), 'resources: []\n');
  const { ok, output } = await validateEnvoy(text);
  assert.ok(ok, output);
});

test('what begins as in Envoy’s documentation becomes one too, with every difference named and no secret copied', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-import-'));
  writeFileSync(join(folder, 'client-secret'), 'of-the-client');
  const there = readFileSync(FIRST, 'utf8').replaceAll('/etc/envoy', folder);
  const { ok, output } = await validateEnvoy(there);
  assert.ok(ok, output);

  const text = await bearerd('import', FIRST);
  const { sources, outbound } = parseConfig(text, 'bearerd.yaml');
  assert.deepEqual(
    outbound.map(({ name, inject, match }) => [name, inject.source, match.hosts.map((host) => host.name)]),
    [
      ['any', 'basic', ['to-be-named.example.com']],
      ['any-2', 'checkout', ['to-be-named.example.com']],
      ['some', 'checkout-2', ['shop.example.com', 'orders.example.com', '[::1]']],
    ],
  );
  const [, checkout, other] = sources;
  assert.ok(checkout?.type === 'client_credentials' && other?.type === 'client_credentials');
  assert.deepEqual(
    [checkout.scope, checkout.resource, checkout.audience, checkout.extraParams, other.scope],
    [['read'], ['https://a.example.com', 'https://b.example.com'], 'orders', { tenant: 'shop' }, ['write']],
  );
  assert.deepEqual(checkout.clientSecrets, [{ from: 'file', path: '/etc/envoy/client-secret' }]);
  assert.deepEqual(other.clientSecrets, [{ from: 'env', name: 'HOME' }]);
  for (const said of [
    /the static secret "basic": put it into this file/,
    /envoy\.filters\.http\.oauth2 logs users in/,
    /adds a header with a credential/,
    /Its hosts could not be told: name them\. Its upstreams are httpbin\.example\.com\./,
    /token_endpoint\.uri http:.* bearerd asks by https/,
    /endpoint_params grant_type/,
    /the domain api\.\*: name the hosts/,
    /disabled: it acted only on routes/,
    /routes that switch it off or on \(typed_per_filter_config of first\)/,
  ])
    assert.match(text, said);
  assert.doesNotMatch(text, /dXNlcjpv|of-a-partner/);
});

test('the dump of a running Envoy, which has all of it twice and hides places of secrets, gives the same policies', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-import-'));
  writeFileSync(join(folder, 'client-secret'), 'of-the-client');
  const envoy = await startEnvoy({
    config: readFileSync(FIRST, 'utf8').replaceAll('/etc/envoy', folder),
  });
  t.after(() => envoy.stop());
  const file = join(folder, 'dump.json');
  writeFileSync(file, await envoy.admin('/config_dump'));
  const text = await bearerd('import', file);
  assert.deepEqual(
    parseConfig(text, 'bearerd.yaml').outbound.map(({ name, inject }) => [name, inject.source]),
    [
      ['any', 'basic'],
      ['any-2', 'checkout'],
      ['some', 'checkout-2'],
    ],
  );
  assert.match(text, /whose place a dump hides/);
  const configFile = join(folder, 'bearerd.yaml');
  writeFileSync(configFile, text);
  // None of it is ours: every policy is still to be generated.
  const said = await bearerd('doctor', '--config', configFile, '--envoy', envoy.adminUrl).catch(
    ({ stdout }: { stdout: string }) => stdout,
  );
  assert.equal(said.match(/no route or cluster of Envoy is made for the policy/g)?.length, 3, said);
});

test('EnvoyFilters are read, too, and what is no injector of ours is named', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'bearerd-import-')), 'filters.yaml');
  const [, second] = readFileSync(FIXTURE, 'utf8').split('http_filters:\n');
  const [injector] = second!.split('- name: envoy.filters.http.router');
  const filters = JSON.stringify(parse(injector!)[0]);
  const patch = `spec: { configPatches: [{ applyTo: HTTP_FILTER, patch: { operation: INSERT_BEFORE, value: ${filters} } }] }`;
  writeFileSync(file, `kind: EnvoyFilter\n---\nkind: EnvoyFilter\n${patch}\n`);
  const { sources } = parseConfig(await bearerd('import', file), 'bearerd.yaml');
  assert.deepEqual(
    sources.map(({ name }) => name),
    ['checkout'],
  );

  writeFileSync(
    file,
    'http_filters: [{ typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.oauth2.v3.OAuth2 } }]\n',
  );
  await assert.rejects(
    bearerd('import', file),
    /not carried over: envoy\.filters\.http\.oauth2 logs users in/,
  );
});

test('what no policy can say is named, stays a comment, and never spoils the file', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'bearerd-import-')), 'envoy.yaml');
  writeFileSync(
    file,
    String.raw`clusters:
  - name: "c\rmode: development"
    connect_timeout: 1s
    typed_extension_protocol_options:
      http:
        http_filters:
          - name: f
            typed_config:
              "@type": x.credential_injector.v3.CredentialInjector
              overwrite: true
              credential:
                typed_config:
                  "@type": x.injected_credentials.oauth2.v3.OAuth2
                  token_endpoint: { uri: "no uri\r\nevil: yes", cluster: "a\rb: c" }
                  client_credentials: { client_id: __proto__, client_secret: { name: "../../x\r\ny: z" } }
                  scopes: ["a b", "c\"d"]
                  endpoint_params: [{ name: __proto__, value: x }, { name: "", value: y }, { name: resource, value: no-uri }]
route_config:
  virtual_hosts: [{ name: v, domains: [a.example.com, "b\rc: d"], routes: [{ route: { cluster: "c\rmode: development" } }] }]
`,
  );
  const text = await bearerd('import', file);
  const { mode, sources, outbound } = parseConfig(text, 'bearerd.yaml');
  const [source] = sources;
  assert.ok(source?.type === 'client_credentials');
  assert.deepEqual(
    [mode, source.scope, source.resource, outbound.map(({ name }) => name)],
    ['production', ['a', 'b'], [], ['c-mode-development']],
  );
  assert.match(text, /the scope c"d, which no provider takes/);
  assert.match(text, /resource no-uri, which is no absolute URI/);
});

test('what is done otherwise is said beside it', async () => {
  const text = await bearerd('import', FIXTURE);
  assert.match(text, /# Not carried over: token_endpoint\.timeout 3s: bearerd has 3 s to connect/);
  assert.match(text, /# Not carried over: overwrite was off: the app’s own header won/);
  assert.match(text, /# legacy\.example\.com is of the policy outbound too, and the first one wins/);
  assert.match(text, /Envoy read the secret "client-secret" from \/etc\/envoy\/secret\.yaml/);
});

test('a file without a credential_injector is told so', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'bearerd-import-')), 'envoy.yaml');
  writeFileSync(file, 'static_resources: {}\n');
  await assert.rejects(bearerd('import', file), /has no credential_injector/);
});
