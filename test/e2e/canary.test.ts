// Every secret and token of a run, with each door and with everything that goes wrong around it, is looked for wherever
// bearerd writes: found nowhere but on the requests themselves.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse, stringify } from 'yaml';
import { withAccessLog } from '../support/access-log-file.ts';
import { assertNowhere, dumpOf, needles, shownBy } from '../support/canary.ts';
import { startCollector } from '../support/collector.ts';
import { startGateway } from '../support/gateway.ts';
import { writeRing } from '../support/key-ring.ts';
import { startUpstream } from '../support/loopback.ts';
import { startProcess } from '../support/process.ts';
import { startRedis } from '../support/redis.ts';
import { storeLogin } from '../support/stored-login.ts';

/** Of the check door, as docs/logs.md has it for Envoy's access log. */
const [, CREDENTIAL_FORMAT] = /`(%DYNAMIC_METADATA\([^`]*%)`/.exec(readFileSync('docs/logs.md', 'utf8'))!;

/** In every secret of this test that may be any text. */
const MARK = 'c4n4ry';
const STORE_KEY = keyOf('store');
const CACHE_KEY = keyOf('cache');

/** 32 bytes as base64. */
function keyOf(name: string): string {
  return Buffer.from(`${MARK}-${name}`.padEnd(32, '-')).toString('base64');
}

/** A token endpoint for each path; what it says in its refusals is as careless as a provider can be. */
async function startProvider(t: TestContext): Promise<string> {
  let count = 0;
  const answer = (path: string, response: ServerResponse): void => {
    const json = (status: number, body: object) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    };
    const token = `${MARK}-token-${++count}`;
    switch (path) {
      case '/fails':
        return json(500, { access_token: token, error: 'server_error', error_description: token });
      case '/refuses':
        return json(400, {
          error: 'invalid_client',
          error_description: `the secret ${MARK}-secret is wrong`,
        });
      case '/refuses-oddly':
        response.setHeader('www-authenticate', `Basic realm="${MARK}"`);
        return json(401, { error: `${MARK}-error`, error_uri: `https://x/${MARK}` });
      case '/malformed':
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(`{"access_token":"${token}","token_type":"Bearer",`);
        return;
      case '/unusable':
        return json(200, { access_token: `${token} with\r\nx: y`, token_type: 'Bearer', expires_in: 600 });
      case '/other-type':
        return json(200, { access_token: token, token_type: `${MARK}-type`, expires_in: 600 });
      case '/redirects':
        response.writeHead(302, { location: `https://evil.example/?token=${token}` }).end();
        return;
      default:
        json(200, {
          access_token: token,
          token_type: 'Bearer',
          issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
          expires_in: 600,
          refresh_token: `${MARK}-refresh-${count}`,
        });
    }
  };
  const port = await startUpstream(t, (incoming, response) => {
    incoming.resume();
    incoming.on('end', () => answer(incoming.url!, response));
  });
  return `http://127.0.0.1:${port}`;
}

const BROKEN = ['fails', 'refuses', 'refuses-oddly', 'malformed', 'unusable', 'other-type', 'redirects'];

function sourcesOf(provider: string): string {
  const client = (path: string) =>
    `token_endpoint: ${provider}/${path}, client_id: a, client_secret: { file: FOLDER/secret }`;
  return [
    `  orders: { required: true, client_credentials: { ${client('orders')} } }`,
    '  keys: { api_keys: { ring: FOLDER/ring.yaml } }',
    '  keyed: { static: { value: { env: CANARY_STATIC } } }',
    `  inlined: { static: { value: { inline: ${MARK}-inline } } }`,
    `  person: { refresh_token: { ${client('person')}, store: { file: FOLDER/refresh, key: { file: FOLDER/store-key } } } }`,
    `  users: { token_exchange: { ${client('users')}, subject_token: { header: x-user } } }`,
    '  signed: { signed_jwt: { keys: { directory: FOLDER/signing }, issuer: "https://a.example", subject: a, audience: b, lifetime: 5m } }',
    `  called: { http: { url: ${provider}/called, method: POST, secrets: { pass: { file: FOLDER/secret } }, headers: { x-pass: "\${pass}" }, token: /access_token, lifetime: /expires_in } }`,
    `  run: { exec: { command: [/bin/sh, -c, "echo ${MARK}-stdout; echo ${MARK}-stderr >&2; exit 1"] } }`,
    ...BROKEN.map((path) => `  ${path}: { client_credentials: { ${client(path)} } }`),
  ].join('\n');
}

const OTHERS = ['keys', 'keyed', 'inlined', 'person', 'users', 'signed', 'called', 'run', ...BROKEN];

const policiesOf = (names: readonly string[]) => `heal_on: 401
${names
  .map(
    (name) => `  - name: ${name}
    match: { hosts: [${name}.example.com] }
    inject: { source: ${name} }`,
  )
  .join('\n')}`;

for (const door of ['check', 'push', 'attempt'] as const) {
  test(`${door}: no secret and no token of a run is in logs, pages, files, configurations or Redis`, async (t) => {
    // A subject's credential is never pushed, and of secrets that stay empty Envoy waits for each.
    const unpushed = ['users', ...BROKEN];
    const others = OTHERS.filter((name) => door !== 'push' || !unpushed.includes(name));
    const provider = await startProvider(t);
    const collector = await startCollector(t);
    const redis = await startRedis({ settings: [`requirepass ${MARK}-redis`] });
    t.after(() => redis.stop());
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
    const carried = new Set<string>();
    let status = 200;
    process.env['CANARY_STATIC'] = `${MARK}-static`;
    t.after(() => delete process.env['CANARY_STATIC']);
    const gateway = await startGateway(t, {
      sources: sourcesOf(provider),
      policy: policiesOf(others),
      hosts: others.map((name) => `${name}.example.com`),
      files: {
        secret: `${MARK}-secret\n`,
        'store-key': STORE_KEY,
        'cache-key': CACHE_KEY,
        'audit-key': `${MARK}-audit-key`,
        'redis-password': `${MARK}-redis`,
      },
      settings: `log: { level: trace }
tracing: { otlp_endpoint: "${collector.url}" }
audit: { sink: { file: FOLDER/audit.jsonl }, key: { file: FOLDER/audit-key } }
shared_cache:
  redis: { address: "127.0.0.1:${redis.port}", password: { file: FOLDER/redis-password } }
  tenant: canary
  keys: [{ file: FOLDER/cache-key }]
  per_user_sources: [users]`,
      prepare(folder) {
        writeRing(folder, [
          { id: 'a', state: 'in_use', value: `${MARK}-key-a`, to: 2 },
          { id: 'b', state: 'activated', value: `${MARK}-key-b`, to: 90 },
        ]);
        mkdirSync(join(folder, 'signing'));
        writeFileSync(join(folder, 'signing', '2026-11.pem'), pem);
      },
      upstream(incoming: IncomingMessage, response: ServerResponse) {
        const value = incoming.headers.authorization ?? '';
        if (value !== '') carried.add(value.replace(/^Bearer /, ''));
        response.writeHead(status, {
          'www-authenticate': `Bearer error="invalid_token", error_description="${value}"`,
        });
        response.end();
      },
    });
    const configFile = join(gateway.folder, 'bearerd.yaml');
    await storeLogin(configFile, 'person', `${MARK}-refresh-0`);
    await gateway.bearerd.waitForOutput(/"source":"person".*refresh token stored/);
    await gateway.ready();
    const { send, envoy } = await gateway.startEnvoy(door, {
      change: (generated) => {
        const file = join(gateway.folder, 'envoy.log');
        const bootstrap = stringify(withAccessLog(parse(generated), file, `${CREDENTIAL_FORMAT}\n`));
        writeFileSync(join(gateway.folder, 'envoy.yaml'), bootstrap);
        return bootstrap;
      },
    });

    const round = async (): Promise<void> => {
      const sent = ['orders', ...others].map((name) =>
        send(`/x?access_token=${MARK}`, {
          host: `${name}.example.com`,
          headers: { 'x-user': `Bearer ${MARK}-user`, authorization: `Bearer ${MARK}-of-the-app` },
        }),
      );
      await Promise.all(sent);
    };
    await round();
    await send('/x', { host: 'users.example.com', headers: { 'x-user': `${MARK} no token` } });
    await sleep(200);
    status = 401;
    await round();
    await round();
    status = 200;
    await round();

    // Configurations that are refused, each with the secret at another wrong place.
    const text = readFileSync(configFile, 'utf8');
    for (const wrong of [
      `{ ${MARK}-typo }`,
      `{ inlin: ${MARK}-typo }`,
      `${MARK}-typo`,
      `{ inline: [${MARK}-typo] }`,
      `{ inline: "${MARK}-typo`,
    ]) {
      const before = refusals(gateway.bearerd.output());
      writeFileSync(configFile, text.replace(/client_secret: \{ file: [^}]*\}/, `client_secret: ${wrong}`));
      while (refusals(gateway.bearerd.output()) === before) await sleep(20);
    }
    writeFileSync(configFile, text.replace(`${MARK}-inline`, `${MARK}-changed`));
    await gateway.bearerd.waitForOutput(/another configuration took over/);
    await round();

    const cli = async (...args: string[]) => {
      const run = await startProcess(process.execPath, ['bin/bearerd.js', ...args], { name: args.join(' ') });
      assert.equal((await run.exited).code, 0, run.output());
      return run.output();
    };
    const places = new Map<string, string>([
      ['/metrics', await gateway.metrics()],
      ['/readyz', await (await fetch(`${gateway.healthUrl}/readyz`)).text()],
      ['/.well-known/jwks.json', await (await fetch(`${gateway.healthUrl}/.well-known/jwks.json`)).text()],
      ...(await shownBy(configFile, join(gateway.folder, 'admin.sock'))),
      ['explain', await cli('explain', '--config', configFile, 'GET', 'http://inlined.example.com/x')],
      ['check-config', await cli('check-config', configFile)],
      ['generated by the command', await cli('generate', 'envoy', '--config', configFile, '--door', door)],
      ['Redis', await dumpOf(redis.port, `${MARK}-redis`)],
      ["Envoy's statistics", await envoy.admin('/stats')],
      ["Envoy's configuration", await envoy.admin('/config_dump')],
    ]);
    // It writes its access log then.
    await envoy.stop();
    await gateway.bearerd.stop();
    places.set('standard output and error', gateway.bearerd.output());
    places.set('spans', Buffer.concat(collector.bodies).toString('latin1'));
    for (const name of readdirSync(gateway.folder)) {
      // Those hold them by design; what bearerd wrote itself does not.
      if (!/^(audit\.jsonl|refresh|refresh\.login|envoy\.(yaml|log))$/.test(name)) continue;
      places.set(name, readFileSync(join(gateway.folder, name), 'utf8'));
    }

    const keyLines = pem.split('\n').filter((line) => line !== '' && !line.startsWith('-----'));
    const sought = needles([MARK, STORE_KEY, CACHE_KEY, ...keyLines, ...carried]);
    assert.ok(
      [...carried].some((value) => value.startsWith(`${MARK}-token-`)),
      'a token was sent',
    );
    assert.ok(
      [...carried].some((value) => value.startsWith('eyJ')),
      'a signed token was sent',
    );
    const basic = Buffer.from(`a:${MARK}-secret`).toString('base64');
    assert.ok(
      sought.some((needle) => basic.includes(needle)),
      'one inside of a Basic header would be found',
    );
    assertNowhere(places, sought);
    for (const what of ['audit.jsonl', 'refresh', 'Redis']) assert.ok(places.has(what), `no ${what}`);
    assert.match(places.get('spans')!, /source_rejected/);
    assert.match(places.get('audit.jsonl')!, /"event":"credential_issued"/);
    assert.match(places.get('standard output and error')!, /"level":"warn"/);
    assert.match(places.get('Redis')!, /sealed1\./);
    if (door === 'check') {
      // Envoy's log names the credential that bearerd's own names.
      const generations = [...gateway.bearerd.output().matchAll(/"source":"orders","generation":(\d+)/g)];
      const [, newest] = generations.at(-1)!;
      assert.match(places.get('envoy.log')!, new RegExp(`^orders/${newest}$`, 'm'));
    }
    t.diagnostic(`${sought.length} texts sought in ${places.size} places, ${carried.size} credentials sent`);
  });
}

function refusals(output: string): number {
  return output.split('the configuration was not taken over').length;
}
