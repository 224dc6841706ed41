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
import { bearerd as run } from '../../support/command-line.ts';
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
      // Of the cluster, and behind the listener's own no request would reach it.
      ['legacy', ['legacy.example.com']],
      ['outbound', ['orders.example.com', 'legacy.example.com']],
    ],
  );
  const [key, checkout] = sources;
  assert.ok(checkout?.type === 'client_credentials');
  assert.deepEqual(
    [checkout.tokenEndpoint, checkout.clientId, checkout.scope],
    ['https://idp.example.com/token', 'checkout', ['orders.read']],
  );
  assert.equal(key?.type, 'static');
  assert.match(text, /client_auth: client_secret_post/);
  assert.match(text, /header: x-api-key\n +prefix: ""/);
  assert.equal(outbound[0]!.onFailure, 'pass');
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
    outbound.map(({ name, inject, match, rollout }) => [
      name,
      inject.source,
      rollout.mode,
      match.hosts.map((host) => host.name),
    ]),
    [
      ['any', 'basic', 'enforce', ['to-be-named.example.com']],
      // Switched off and on by routes, so that a policy would inject where nobody did.
      ['any-2', 'checkout', 'shadow', ['to-be-named.example.com']],
      ['some', 'checkout-2', 'shadow', ['shop.example.com', 'orders.example.com', '[::1]']],
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
  assert.match(text, /# legacy\.example\.com is of the policy legacy too, and the first one wins/);
  assert.match(text, /Envoy read the secret "client-secret" from \/etc\/envoy\/secret\.yaml/);
});

test('a file without a credential_injector is told so', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'bearerd-import-')), 'envoy.yaml');
  writeFileSync(file, 'static_resources: {}\n');
  await assert.rejects(bearerd('import', file), /has no credential_injector/);
});

const TYPE = 'type.googleapis.com/envoy.extensions';

/** A cluster with an injector of its own, as JSON of a dump has it. */
function injectingCluster(name: string, credential: object): object {
  const typed_config = {
    '@type': `${TYPE}.filters.http.credential_injector.v3.CredentialInjector`,
    overwrite: true,
    credential: { name: 'x', typed_config: credential },
  };
  const options = { http_filters: [{ name: 'injector', typed_config }] };
  return {
    name,
    connect_timeout: '1s',
    typed_extension_protocol_options: { 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': options },
  };
}

function generic(more: object = {}): object {
  const credential = { name: 'key', sds_config: {} };
  return { '@type': `${TYPE}.http.injected_credentials.generic.v3.Generic`, credential, ...more };
}

function oauth2(more: object = {}): object {
  return {
    '@type': `${TYPE}.http.injected_credentials.oauth2.v3.OAuth2`,
    token_endpoint: { uri: 'https://idp.example.com/token' },
    client_credentials: { client_id: 'checkout', client_secret: { name: 'secret', sds_config: {} } },
    ...more,
  };
}

async function imported(configuration: unknown) {
  const file = join(mkdtempSync(join(tmpdir(), 'bearerd-import-')), 'dump.json');
  writeFileSync(file, typeof configuration === 'string' ? configuration : JSON.stringify(configuration));
  const { code, out, err } = await run('import', file);
  assert.equal(code, 0, err);
  return { text: out, ...parseConfig(out, 'bearerd.yaml') };
}

test('only hosts that lead to a cluster get its credential, and what else they lead to is named', async () => {
  const { text, outbound } = await imported({
    clusters: [injectingCluster('orders', generic())],
    virtual_hosts: [
      {
        domains: ['shop.example.com'],
        routes: [
          { route: { weighted_clusters: { clusters: [{ name: 'orders' }] } } },
          { route: { cluster: 'web' } },
        ],
      },
      // A name of a route, and of a header, is no cluster.
      {
        domains: ['elsewhere.example.com'],
        routes: [{ name: 'orders', match: { headers: [{ name: 'orders' }] }, route: { cluster: 'web' } }],
      },
    ],
  });
  assert.deepEqual(
    outbound[0]!.match.hosts.map(({ name }) => name),
    ['shop.example.com'],
  );
  assert.match(text, /# Not carried over: other routes of shop\.example\.com lead to other clusters/);
});

test('a file that begins with ---, has comments alone between two, or names fields as istioctl does, is read', async () => {
  const text = readFileSync(FIXTURE, 'utf8');
  const { outbound } = parseConfig(await bearerd('import', FIXTURE), 'bearerd.yaml');
  const separated = `%YAML 1.2\n---\n# of the team\n---\n${text}\n---\n`;
  assert.deepEqual((await imported(separated)).outbound, outbound);
  const camel = JSON.stringify(parse(text)).replace(
    /"([a-z]+(?:_[a-z0-9]+)+)":/g,
    (_, name: string) => `"${name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())}":`,
  );
  assert.match(camel, /"typedConfig":/);
  assert.deepEqual((await imported(camel)).outbound, outbound);
});

test('check-config takes the file whatever stands in Envoy’s, and no password of an address comes with it', async () => {
  const secret = (name: string, value: object) => ({ name, generic_secret: { secret: value } });
  const clientOf = (name: string) => ({ client_credentials: { client_id: 'a', client_secret: { name } } });
  const evil = '\x1b[2J\u202e\u2028\x9b';
  const credentials = [
    ...['https://u:canary@idp/t', 'http://u:canary@idp/t', 'https://idp/#x', 'ftp://idp', ' ', '', evil].map(
      (uri) => oauth2({ token_endpoint: { uri, cluster: evil, timeout: evil } }),
    ),
    ...['', 'no name', evil].map((name) => oauth2(clientOf(name))),
    oauth2({
      endpoint_params: [
        { name: 'audience', value: '' },
        { name: evil, value: evil },
      ],
      scopes: [evil, ''],
    }),
    ...[':path', 'host', 'x y', 'x-envoy-a', evil].map((header) => generic({ header })),
    ...[' canary', 'é', 'x'.repeat(300), evil].map((header_value_prefix) => generic({ header_value_prefix })),
    { '@type': evil },
    {},
  ];
  const clusters = credentials.map((credential, i) => injectingCluster(i % 2 ? evil : `c${i}`, credential));
  const secrets = [
    secret('no name', { environment_variable: 'NO NAME' }),
    secret(evil, { filename: '' }),
    secret('', { filename: evil }),
  ];
  const { text, outbound } = await imported([
    { clusters, secrets },
    { virtual_hosts: [{ domains: [evil, '*', 'a.example.com:*'], routes: [{ route: { cluster: evil } }] }] },
  ]);
  assert.ok(outbound.length > 15, `${outbound.length}`);
  assert.doesNotMatch(text, /canary|(?!\n)\p{Cc}|^ *#.*[\u202e\u2028]/mu);
});

test('a large dump is read in a time that grows with it alone', async (t) => {
  const names = Array.from({ length: 1_000 }, (_, i) => `c${i}`);
  const begun = performance.now();
  const { outbound } = await imported({
    clusters: names.map((name) => injectingCluster(name, generic())),
    virtual_hosts: names.map((name) => ({
      domains: [`${name}.example.com`],
      routes: Array.from({ length: 10 }, () => ({ match: { prefix: '/' }, route: { cluster: name } })),
    })),
  });
  const ms = performance.now() - begun;
  assert.equal(outbound.length, names.length);
  t.diagnostic(`${ms.toFixed(0)} ms`);
  assert.ok(ms < 20_000, `${ms} ms`);
});

test('what nests deeper than any configuration is no crash', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'bearerd-import-')), 'deep.json');
  writeFileSync(file, `${'['.repeat(50_000)}${']'.repeat(50_000)}`);
  assert.match((await run('import', file)).err, /has no credential_injector/);
});
