// bearerd login as a person uses it: the real command, a real provider, and for the code flow a real browser.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { chromiumBinary, newPage } from '../../support/chromium.ts';
import {
  LOGIN_CLIENT,
  LOGIN_SCOPE,
  LOGIN_SECRET,
  type LoginProvider,
  PUBLIC_CLIENT,
  startLoginProvider,
} from '../../support/login-provider.ts';
import { freePort } from '../../support/ports.ts';
import { type StartedProcess, startProcess } from '../../support/process.ts';
import { startRedis } from '../../support/redis.ts';

const chromium = chromiumBinary();
const needsChromium = chromium === undefined ? 'needs chromium (Debian: apt-get install chromium)' : false;

const CONFIDENTIAL = `      client_id: ${LOGIN_CLIENT}
      client_secret: { inline: "${LOGIN_SECRET}" }`;
const PUBLIC = `      client_id: ${PUBLIC_CLIENT}
      client_auth: none`;

interface Place {
  readonly provider: LoginProvider;
  readonly folder: string;
  readonly configFile: string;
}

async function place(t: TestContext, client = CONFIDENTIAL, cache = ''): Promise<Place> {
  const provider = await startLoginProvider();
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-login-'));
  t.after(async () => {
    await provider.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  const configFile = join(folder, 'bearerd.yaml');
  writeFileSync(join(folder, 'key'), randomBytes(32).toString('base64'));
  writeFileSync(
    configFile,
    `version: 1
mode: development
listen: { check: "unix://${folder}/check.sock" }
sources:
  fixed: { static: { value: { inline: x } } }
  orders:
    refresh_token:
      issuer: ${provider.issuer}
${client}
      scope: ${LOGIN_SCOPE}
      authorization_params: { prompt: consent }
      store: ${cache === '' ? '{ file: orders.refresh, key: { file: key } }' : '{ shared: true }'}
${cache}`,
  );
  return { provider, folder, configFile };
}

async function bearerd(t: TestContext, ...args: string[]): Promise<StartedProcess> {
  const started = await startProcess(process.execPath, ['bin/bearerd.js', ...args], { name: 'bearerd' });
  t.after(() => started.stop());
  return started;
}

const login = (t: TestContext, { configFile }: Place, ...options: string[]) =>
  bearerd(t, 'login', '--config', configFile, '--source', 'orders', ...options);

const addressIn = async (process_: StartedProcess): Promise<URL> =>
  new URL((await process_.waitForOutput(/\n {2}(http:\S+)/))[1]!);

/** Nothing secret was shown, and a bearerd that serves gets a credential with what was stored. */
async function assertLoggedIn(t: TestContext, at: Place, process_: StartedProcess): Promise<void> {
  assert.equal((await process_.exited).code, 0, process_.output());
  assert.match(process_.output(), /Stored for the source orders: .*orders\.refresh/);
  const sealed = readFileSync(join(at.folder, 'orders.refresh.login'), 'utf8');
  assert.match(sealed, /^sealed1\./);
  const serving = await bearerd(t, 'serve', '--config', at.configFile);
  await serving.waitForOutput(/"source":"orders",.*"msg":"credential published"/);
  const used = at.provider.calls.at(-1)!;
  assert.equal(used.grantType, 'refresh_token');
  assert.ok(!process_.output().includes(used.refreshToken!));
}

/** The pages of oidc-provider: a name, any password, then consent. */
async function signIn(page: Awaited<ReturnType<typeof newPage>>): Promise<void> {
  await page.fill('input[name=login]', 'alice');
  await page.fill('input[name=password]', 'any');
  await page.click('button[type=submit]');
  await page.waitForSelector('text=Authorize');
  await page.click('button[type=submit]');
}

/** The device flow, up to the question whether the person agrees. */
async function enterCode(t: TestContext, at: Place) {
  const process_ = await login(t, at, '--flow', 'device');
  const [, code] = await process_.waitForOutput(/enter the code ([A-Z]{4}-[A-Z]{4})/);
  const page = await newPage(t, chromium!);
  await page.goto((await addressIn(process_)).href);
  await page.fill('input[name=user_code]', code!);
  await page.click('button[type=submit]');
  return { process_, page };
}

/** The device flow, with its code entered elsewhere. */
async function loginByCode(t: TestContext, at: Place): Promise<StartedProcess> {
  const { process_, page } = await enterCode(t, at);
  await page.click('button[type=submit]');
  await signIn(page);
  return process_;
}

describe('the code flow', () => {
  for (const [kind, client] of [
    ['confidential', CONFIDENTIAL],
    ['public', PUBLIC],
  ] as const) {
    test(`in a real browser, ${kind} client: PKCE S256, state, and the way back to a port of 127.0.0.1`, {
      skip: needsChromium,
    }, async (t) => {
      const at = await place(t, client);
      const process_ = await login(t, at);
      const address = await addressIn(process_);
      const asked = address.searchParams;
      assert.equal(asked.get('code_challenge_method'), 'S256');
      assert.match(asked.get('redirect_uri')!, /^http:\/\/127\.0\.0\.1:\d+\/callback$/);
      assert.ok(asked.get('state')!.length >= 32);
      const page = await newPage(t, chromium!);
      await page.goto(address.href);
      await signIn(page);
      await page.waitForURL(/127\.0\.0\.1:\d+\/callback/);
      assert.match((await page.textContent('body'))!, /This window can be closed/);
      await assertLoggedIn(t, at, process_);
    });
  }

  test('ends with 1 and the provider’s word when the person says no', { skip: needsChromium }, async (t) => {
    const at = await place(t);
    const process_ = await login(t, at);
    const page = await newPage(t, chromium!);
    await page.goto((await addressIn(process_)).href);
    await page.click('text=Cancel');
    assert.equal((await process_.exited).code, 1);
    assert.match(process_.output(), /source_rejected: the provider refused the login: access_denied/);
    assert.ok(!existsSync(join(at.folder, 'orders.refresh.login')));
  });

  test('takes no answer but the one with its state, and no other Host, path or method', async (t) => {
    const at = await place(t);
    const process_ = await login(t, at);
    const asked = (await addressIn(process_)).searchParams;
    const redirect = asked.get('redirect_uri')!;
    const state = asked.get('state')!;
    const { host, port } = new URL(redirect);
    const answered = async (query: string, path = '/callback', init: RequestInit = {}) =>
      (await fetch(`http://127.0.0.1:${port}${path}?${query}`, init)).status;
    assert.equal(await answered('code=stolen&state=guessed'), 400);
    assert.equal(await answered('code=stolen'), 400);
    assert.equal(await answered(`code=stolen&state=${state}&state=${state}`), 400);
    assert.equal(await answered(`code=stolen&state=${state}`, '/other'), 400);
    assert.equal(await answered(`code=stolen&state=${state}`, '/callback', { method: 'POST' }), 400);
    assert.equal(
      await rawStatus(Number(port), `/callback?code=stolen&state=${state}`, 'evil.example.com'),
      400,
    );
    assert.equal(process_.child.exitCode, null, 'it still waits');
    // RFC 9207: the right state, from another issuer.
    assert.equal(await rawStatus(Number(port), `/callback?code=x&state=${state}&iss=http://evil`, host), 200);
    assert.equal((await process_.exited).code, 1);
    assert.match(process_.output(), /an answer that is not for this login/);
    assert.equal(at.provider.calls.length, 0, 'no code was sent on');
  });

  test('names a redirect port that is taken', async (t) => {
    const at = await place(t);
    const first = await login(t, at, '--redirect-port', String(await freePort()));
    const { port } = new URL((await addressIn(first)).searchParams.get('redirect_uri')!);
    const second = await login(t, at, '--redirect-port', port);
    assert.equal((await second.exited).code, 1);
    assert.match(second.output(), /cannot be had for the redirect: EADDRINUSE/);
    assert.equal((await first.stop()).code, 1);
    assert.match(first.output(), /ended before the login/);
  });
});

// Its polls are five seconds apart.
describe('the device flow', { concurrency: true }, () => {
  test('waits for the code to be entered elsewhere, in a real browser', {
    skip: needsChromium,
  }, async (t) => {
    const at = await place(t);
    const process_ = await loginByCode(t, at);
    await assertLoggedIn(t, at, process_);
    const polls = at.provider.calls.filter(({ grantType }) => grantType?.endsWith('device_code'));
    assert.ok(polls.length >= 1);
  });

  test('for a whole fleet: what it brought lies in Redis, and a bearerd that waits for it has a credential within two seconds', {
    skip: needsChromium,
  }, async (t) => {
    const redis = await startRedis();
    t.after(() => redis.stop());
    const cache = `shared_cache: { redis: { address: "127.0.0.1:${redis.port}" }, tenant: fleet, keys: [{ file: key }] }\n`;
    const at = await place(t, CONFIDENTIAL, cache);
    const serving = await bearerd(t, 'serve', '--config', at.configFile);
    await serving.waitForOutput(/login required: nobody has logged in yet/);
    const process_ = await loginByCode(t, at);
    assert.equal((await process_.exited).code, 0, process_.output());
    const begun = performance.now();
    assert.match(process_.output(), /Stored for the source orders: bearerd:fleet:\{[\w-]{43}\}:record/);
    await serving.waitForOutput(/"source":"orders",.*"msg":"credential published"/);
    assert.ok(performance.now() - begun < 2_000, `${performance.now() - begun} ms`);
    assert.ok(!process_.output().includes(at.provider.calls.at(-1)!.refreshToken!));

    await redis.kill();
    const away = await login(t, at, '--flow', 'device');
    assert.equal((await away.exited).code, 1);
    assert.match(away.output(), /store_unavailable: bearerd:fleet:.* in Redis: no answer within a second/);
  });

  test('ends when the person says no', { skip: needsChromium }, async (t) => {
    const at = await place(t);
    const { process_, page } = await enterCode(t, at);
    await page.click('button[name=abort]');
    assert.equal((await process_.exited).code, 1);
    assert.match(process_.output(), /source_rejected: the provider answered 400: access_denied/);
  });
});

describe('before anybody has to log in', () => {
  test('a source of another type, a key that is none and a folder that is not there are told', async (t) => {
    const at = await place(t);
    const other = await bearerd(t, 'login', '--config', at.configFile, '--source', 'fixed');
    assert.equal((await other.exited).code, 2);
    assert.match(other.output(), /--source names a refresh_token source, got "fixed"; there are orders/);
    writeFileSync(join(at.folder, 'key'), 'password');
    const key = await login(t, at);
    assert.equal((await key.exited).code, 1);
    assert.match(key.output(), /secret_unreadable: store\.key is no key: .*openssl rand -base64 32/);
    writeFileSync(join(at.folder, 'key'), randomBytes(32).toString('hex'));
    const text = readFileSync(at.configFile, 'utf8');
    writeFileSync(at.configFile, text.replace('file: orders.refresh', 'file: none/orders.refresh'));
    const folder = await login(t, at);
    assert.equal((await folder.exited).code, 1);
    assert.match(folder.output(), /store_unavailable: .*cannot be written: ENOENT/);
  });
});

/** fetch() sends no Host of our choice. */
async function rawStatus(port: number, path: string, host: string): Promise<number> {
  const { request } = await import('node:http');
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, path, headers: { host } }, (response) => {
      response.resume();
      resolve(response.statusCode!);
    })
      .on('error', reject)
      .end();
  });
}
