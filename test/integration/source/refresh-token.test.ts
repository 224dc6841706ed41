// Refresh tokens against a real provider that rotates them: what is stored, who may hold it, and every point at which a
// real bearerd can be killed.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { parseConfig } from '../../../src/config/parse.ts';
import type { TokenSource } from '../../../src/credential/credential.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { CredentialError } from '../../../src/lib/errors.ts';
import { Secret } from '../../../src/lib/secret.ts';
import type { StoredRefreshToken } from '../../../src/source/refresh-token/store.ts';
import { createTokenSource } from '../../../src/source/registry.ts';
import { issueRequest } from '../../support/issue.ts';
import {
  LOGIN_CLIENT,
  LOGIN_SECRET,
  type LoginProvider,
  type LoginProviderOptions,
  startLoginProvider,
} from '../../support/login-provider.ts';
import { type StartedProcess, startProcess } from '../../support/process.ts';
import { createRecordingObserver } from '../../support/recording-observer.ts';
import { refreshTokenStore, storeLogin } from '../../support/stored-login.ts';

const DAY_MS = 86_400_000;
const KEY = randomBytes(32).toString('base64');

interface Place {
  readonly provider: LoginProvider;
  readonly folder: string;
  readonly file: string;
  readonly configFile: string;
}

async function place(t: TestContext, options: LoginProviderOptions = {}, settings = ''): Promise<Place> {
  const provider = await startLoginProvider(options);
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-rt-'));
  t.after(async () => {
    await provider.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  const configFile = join(folder, 'bearerd.yaml');
  const file = join(folder, 'orders.refresh');
  writeFileSync(join(folder, 'key'), KEY);
  writeFileSync(
    configFile,
    `version: 1
mode: development
listen: { check: "unix://${folder}/check.sock", health: "127.0.0.1:0" }
sources:
  orders:
    refresh_token:
      issuer: ${provider.issuer}
      client_id: ${LOGIN_CLIENT}
      client_secret: { inline: "${LOGIN_SECRET}" }
      store: { file: orders.refresh, key: { file: key } }
${settings}
`,
  );
  return { provider, folder, file, configFile };
}

const configOf = ({ configFile }: Place) => {
  const [source] = parseConfig(readFileSync(configFile, 'utf8'), configFile).sources;
  assert.equal(source?.type, 'refresh_token');
  return source as Extract<typeof source, { type: 'refresh_token' }>;
};

/** As bearerd login does. */
async function logIn(at: Place, patch: Partial<StoredRefreshToken> = {}): Promise<void> {
  await storeLogin(at.configFile, 'orders', await at.provider.newRefreshToken(), patch);
}

async function stored(at: Place, name = 'orders'): Promise<StoredRefreshToken | undefined> {
  const store = await refreshTokenStore(at.configFile, name);
  try {
    return await store.exclusively((held) => held.read());
  } finally {
    await store.close();
  }
}

async function sourceOf(t: TestContext, at: Place, clock = systemClock) {
  const { observer, named } = createRecordingObserver();
  const source = await createTokenSource(configOf(at), { clock, env: {}, observer });
  t.after(() => source.close?.());
  return { source, named };
}

/** Of all tests of this file. */
const request = issueRequest({ signal: new AbortController().signal });

async function failure(source: TokenSource): Promise<CredentialError> {
  const error = await source.issue(request).then(
    () => assert.fail('no failure'),
    (e: unknown) => e,
  );
  assert.ok(error instanceof CredentialError, String(error));
  return error;
}

describe('a refresh token', () => {
  test('is rotated with each use, and each answer is stored before its access token is handed out', async (t) => {
    const at = await place(t);
    await logIn(at);
    const { source } = await sourceOf(t, at);
    for (let i = 0; i < 3; i++) {
      const issued = await source.issue(request);
      assert.ok(issued.lifetimeMs! > 590_000 && issued.lifetimeMs! <= 600_000);
      const used = at.provider.calls[i]!.refreshToken!;
      const next = await at.provider.provider.RefreshToken.find(used, { ignoreExpiration: true } as never);
      assert.ok(next?.consumed, 'the provider rotates strictly');
    }
    await source.close?.();
    const next = (await stored(at))!;
    assert.ok(!at.provider.calls.some(({ refreshToken }) => refreshToken === next.token.reveal()));
    assert.equal(next.askedAt, undefined);
  });

  test('lies sealed and for the owner only, and nothing of it stands in any file', async (t) => {
    const at = await place(t);
    await logIn(at);
    const { source } = await sourceOf(t, at);
    await source.issue(request);
    assert.equal(statSync(at.file).mode & 0o777, 0o600);
    const names = readdirSync(at.folder).map((name) => name.replace(/lock\.\d+$/, 'lock.N'));
    assert.deepEqual(names.sort(), ['bearerd.yaml', 'key', 'orders.refresh', 'orders.refresh.lock.N']);
    await source.close?.();
    const token = (await stored(at))!.token.reveal();
    for (const form of [token, Buffer.from(token).toString('base64').slice(0, 20)]) {
      assert.ok(!readFileSync(at.file, 'latin1').includes(form));
    }
  });

  test('does not open for another client, another source name or with another key', async (t) => {
    const at = await place(t);
    await logIn(at);
    assert.ok(await stored(at));
    const text = readFileSync(at.configFile, 'utf8');
    for (const [from, to, name] of [
      ['  orders:\n', '  other:\n', 'other'],
      [`client_id: ${LOGIN_CLIENT}`, 'client_id: other', 'orders'],
    ] as const) {
      writeFileSync(at.configFile, text.replace(from, to));
      await assert.rejects(stored(at, name), { code: 'store_unavailable', message: /does not open/ });
    }
    writeFileSync(at.configFile, text);
    writeFileSync(join(at.folder, 'key'), randomBytes(32).toString('hex'));
    await assert.rejects(stored(at), { code: 'store_unavailable' });
    writeFileSync(join(at.folder, 'key'), 'password');
    await assert.rejects(stored(at), { code: 'secret_unreadable', message: /openssl rand -base64 32/ });
  });

  test('has one holder: a second is refused until the first is gone', async (t) => {
    const at = await place(t);
    await logIn(at);
    const first = await sourceOf(t, at);
    const second = await sourceOf(t, at);
    await first.source.issue(request);
    const error = await failure(second.source);
    assert.equal(error.code, 'store_unavailable');
    assert.match(error.message, /one holder at a time: another process holds .*orders\.refresh\.lock/);
    assert.equal(at.provider.calls.length, 1);
    await first.source.close?.();
    await second.source.issue(request);
  });

  test('that is not there needs a login, and a login is noticed while bearerd runs', async (t) => {
    const at = await place(t);
    const { source, named } = await sourceOf(t, at);
    assert.equal((await failure(source)).code, 'login_required');
    assert.match(String(named('loginRequired')[0]![1]), /bearerd login --config FILE --source orders/);
    const changed = new Promise<void>((resolve) => t.after(source.watch!(resolve)));
    // The first look of the watch.
    await new Promise((resolve) => setTimeout(resolve, 300));
    await logIn(at);
    await changed;
    await source.issue(request);
  });

  test('that the provider refuses is sent once and never again, until the next login', async (t) => {
    const at = await place(t);
    await logIn(at, { token: new Secret('revoked') });
    const { source, named } = await sourceOf(t, at);
    for (let i = 0; i < 3; i++) {
      const error = await failure(source);
      assert.deepEqual([error.code, error.retryable], ['login_required', false]);
    }
    assert.equal(at.provider.calls.length, 1);
    assert.equal(named('loginRequired').length, 3);
    await logIn(at);
    await source.issue(request);
  });

  test('is warned of within 7 days of its end, once a day', async (t) => {
    const at = await place(t, {}, '      refresh_lifetime: 720h');
    await logIn(at, { expiresAt: Date.now() + 8 * DAY_MS });
    let ahead = 0;
    const clock = {
      ...systemClock,
      now: () => systemClock.now() + ahead,
      monotonic: () => systemClock.monotonic() + ahead,
    };
    const { source, named } = await sourceOf(t, at, clock);
    await source.issue(request);
    assert.equal(named('refreshTokenEnding').length, 0);
    // Told by refresh_lifetime: this provider does not tell.
    const [, expiresAt] = named('refreshTokenStored')[0] as [string, number];
    assert.ok(Math.abs(expiresAt - Date.now() - 30 * DAY_MS) < 60_000);
    await logIn(at, { expiresAt: clock.now() + 6 * DAY_MS });
    await source.issue(request);
    assert.equal(named('refreshTokenEnding').length, 1);
    await logIn(at, { expiresAt: clock.now() + 6 * DAY_MS });
    await source.issue(request);
    assert.equal(named('refreshTokenEnding').length, 1);
    ahead = DAY_MS;
    await logIn(at, { expiresAt: clock.now() + 5 * DAY_MS });
    await source.issue(request);
    assert.equal(named('refreshTokenEnding').length, 2);
  });

  test('is not used where the answer could not be stored', async (t) => {
    const at = await place(t);
    await logIn(at);
    const { source } = await sourceOf(t, at);
    await source.issue(request);
    // What a full or read-only volume does; a directory in the way stops root too.
    mkdirSync(`${at.file}.new`);
    const error = await failure(source);
    assert.equal(error.code, 'store_unavailable');
    assert.match(error.message, /cannot be written: EISDIR/);
    assert.equal(at.provider.calls.length, 1);
    rmSync(`${at.file}.new`, { recursive: true });
    await source.issue(request);
  });

  test('that came while the volume was full is kept, written later, and only then used', async (t) => {
    const at = await place(t);
    await logIn(at);
    const { source } = await sourceOf(t, at);
    at.provider.after = () => mkdirSync(`${at.file}.new`);
    assert.equal((await failure(source)).code, 'store_unavailable');
    at.provider.after = () => {};
    rmSync(`${at.file}.new`, { recursive: true });
    await source.issue(request);
    assert.equal(at.provider.calls.length, 1, 'the answer of the first call was written and used');
    await source.issue(request);
  });

  test('whose answer comes after the store gave up waiting is stored all the same', async (t) => {
    const at = await place(t);
    await logIn(at);
    const { source } = await sourceOf(t, at);
    at.provider.after = () => new Promise((resolve) => setTimeout(resolve, 300));
    const [a, b] = [source.issue(request), source.issue(request)];
    assert.equal((await a).value.reveal(), (await b).value.reveal());
    assert.equal(at.provider.calls.length, 1, 'two askers, one use of the token');
    const late = source.issue(request);
    await source.close?.();
    await late;
    assert.equal((await stored(at))!.askedAt, undefined);
  });
});

describe('kill -9 of a real bearerd', () => {
  const serve = async (t: TestContext, { configFile }: Place): Promise<StartedProcess> => {
    const bearerd = await startProcess(
      process.execPath,
      ['bin/bearerd.js', 'serve', '--config', configFile],
      {
        name: 'bearerd',
      },
    );
    t.after(() => bearerd.stop());
    return bearerd;
  };
  const kill = async (bearerd: StartedProcess) => {
    bearerd.child.kill('SIGKILL');
    assert.equal((await bearerd.exited).signal, 'SIGKILL');
  };
  const PUBLISHED = /"msg":"credential published"/;
  const LOGIN_REQUIRED = /"msg":"login required: [^"]*/;

  /** Holds the next token call at one point until it is killed there. */
  const killedAt = async (t: TestContext, at: Place, point: 'before' | 'after') => {
    let reached = () => {};
    const there = new Promise<void>((resolve) => {
      reached = resolve;
    });
    at.provider[point] = () => {
      reached();
      return new Promise(() => {});
    };
    const bearerd = await serve(t, at);
    await there;
    await kill(bearerd);
    at.provider[point] = () => {};
  };

  test('before the provider saw the call: the same token works, and the doubt is told', async (t) => {
    const at = await place(t);
    await logIn(at);
    await killedAt(t, at, 'before');
    const bearerd = await serve(t, at);
    await bearerd.waitForOutput(PUBLISHED);
    assert.match(bearerd.output(), /had no known answer: the same token is tried again/);
  });

  test('between answer and write, strict rotation: tried once with the old token, then login_required and no loop', async (t) => {
    const at = await place(t);
    await logIn(at);
    await killedAt(t, at, 'after');
    const [first] = at.provider.calls;
    const bearerd = await serve(t, at);
    const [line] = await bearerd.waitForOutput(LOGIN_REQUIRED);
    assert.match(line, /after a call whose answer was lost: it had been rotated; run bearerd login/);
    const calls = at.provider.calls.length;
    assert.deepEqual(at.provider.calls.slice(1), [first], 'once, with the old token');
    const [, health] = /"listener":"health","state":"listening","address":"([^"]+)"/.exec(bearerd.output())!;
    assert.match(
      await (await fetch(`http://${health}/metrics`)).text(),
      /bearerd_login_required\{source="orders"\} 1/,
    );
    await kill(bearerd);
    // Not even a restart asks again.
    const again = await serve(t, at);
    await again.waitForOutput(LOGIN_REQUIRED);
    assert.equal(at.provider.calls.length, calls);
    await logIn(at);
    await again.waitForOutput(PUBLISHED);
    assert.match(await metricsOf(again), /bearerd_login_required\{source="orders"\} 0/);
  });

  test('between answer and write, with a grace period: the old token brings a new one', async (t) => {
    const at = await place(t, { graceMs: 60_000 });
    await logIn(at);
    await killedAt(t, at, 'after');
    const bearerd = await serve(t, at);
    await bearerd.waitForOutput(PUBLISHED);
    assert.equal(at.provider.calls.length, 2);
    assert.equal(at.provider.calls[0]!.refreshToken, at.provider.calls[1]!.refreshToken);
  });

  test('after the write: the new token is used, at any moment and ten times in a row', async (t) => {
    const at = await place(t);
    await logIn(at);
    for (let i = 0; i < 10; i++) {
      const bearerd = await serve(t, at);
      await bearerd.waitForOutput(PUBLISHED);
      await kill(bearerd);
    }
    const sent = at.provider.calls.map(({ refreshToken }) => refreshToken);
    assert.equal(new Set(sent).size, 10, 'no token was sent twice');
  });

  async function metricsOf(bearerd: StartedProcess): Promise<string> {
    const [, health] = /"listener":"health","state":"listening","address":"([^"]+)"/.exec(bearerd.output())!;
    return (await fetch(`http://${health}/metrics`)).text();
  }
});
