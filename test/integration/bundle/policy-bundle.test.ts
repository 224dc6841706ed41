// A bundle over real HTTPS: what is taken over, and that nothing else is, whatever the server, the network or a clock does.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { type Authority, createAuthority } from '../../../demo/certificates.ts';
import { createPolicyBundle, type PolicyBundle } from '../../../src/bundle/policy-bundle.ts';
import { ConfigError } from '../../../src/lib/errors.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import {
  BUNDLE_NAME,
  type BundleServer,
  createBundleSigner,
  startBundleServer,
} from '../../support/policy-bundles.ts';
import { createRecordingObserver } from '../../support/recording-observer.ts';

const POLL_MS = 60_000;
const HOUR_MS = 3_600_000;
const FILES = { 'x.yaml': 'version: 1\n' };

let folder: string;
let authority: Authority;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bearerd-bundle-'));
  authority = await createAuthority(folder);
});
after(() => rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }));

/** One server, one signer, and processes that follow them with one clock. */
async function scene(t: TestContext) {
  const own = await mkdtemp(join(folder, 'scene-'));
  const clock = new FakeClock();
  const signer = createBundleSigner(() => clock.now());
  const keys = join(own, 'keys.pem');
  await writeFile(keys, signer.publicPem);
  const server = await startBundleServer(authority);
  t.after(() => server.stop());

  async function follow({ stateDir = undefined as string | undefined, caFile = authority.ca } = {}) {
    const told = createRecordingObserver();
    const taken: number[] = [];
    const take = async ({ serial }: { readonly serial: number }): Promise<void> => {
      if (serial === 666) {
        throw new ConfigError('local.yaml', [{ path: 'x', line: 1, column: 1, message: 'refused' }]);
      }
      taken.push(serial);
    };
    const bundle = createPolicyBundle(
      { url: server.url, name: BUNDLE_NAME, keys, caFile, pollMs: POLL_MS },
      {
        clock,
        env: {},
        observer: told.observer,
        random: () => 0.5,
        stateDir,
        take,
      },
    );
    t.after(() => bundle.stop());
    const answers = () => told.named('inputCurrent').length + told.named('inputRefused').length;
    const heard = async (count: number): Promise<void> => {
      for (let i = 0; answers() < count; i++) {
        assert.ok(i < 3_000, 'no answer within 30 s');
        await sleep(10);
      }
    };
    return {
      bundle,
      taken,
      restore: () => bundle.restore(take),
      async start() {
        await bundle.restore(take);
        bundle.start();
        await heard(answers() + 1);
      },
      /** The next poll, ended; resolves with why it was refused. */
      async poll(): Promise<string | undefined> {
        const before = answers();
        await clock.advance(POLL_MS * 1.2);
        await heard(before + 1);
        return (bundle.status() as { refused?: string }).refused;
      },
    };
  }
  return { own, clock, signer, server, keys, follow };
}

const serialOf = (bundle: PolicyBundle) => bundle.current?.serial;

test('a newer bundle takes over, an unchanged one is asked for by its ETag and costs no body', async (t) => {
  const { server, signer, follow } = await scene(t);
  server.content = await signer.sign(1, FILES);
  const one = await follow();
  await one.start();
  assert.deepEqual(one.taken, [1]);
  assert.equal(await one.poll(), undefined);
  assert.equal(await one.poll(), undefined);
  assert.deepEqual(server.counts.unchanged, 2);
  server.content = await signer.sign(2, FILES);
  assert.equal(await one.poll(), undefined);
  assert.deepEqual(one.taken, [1, 2]);
});

test('nothing replaces the last good one: replays, strangers, broken, endless and compressed answers', async (t) => {
  const { server, signer, clock, follow } = await scene(t);
  const first = await signer.sign(1, FILES);
  server.content = await signer.sign(5, FILES);
  const one = await follow();
  await one.start();
  const good = server.content;
  const stranger = createBundleSigner(() => clock.now());
  const later = (patch: object = {}) => signer.sign(6, FILES, patch);
  const cases: readonly (readonly [what: string, content: string | Buffer, expected: RegExp])[] = [
    ['replayed', first, /^serial 1 is older than 5$/],
    [
      'the same serial anew',
      await signer.sign(5, { 'y.yaml': 'version: 1\n' }),
      /^serial 5 a second time, with other/,
    ],
    ['of another key', await stranger.sign(6, FILES), /signature does not hold/],
    ['for others', await later({ name: 'staging' }), /^aud: it is not for production$/],
    [
      'expired',
      await later({ issuedAt: clock.now() - 2 * HOUR_MS, expiresAt: clock.now() - 1 }),
      /^expired at /,
    ],
    ['cut off', (await later()).slice(0, -20), /signature does not hold|no JWS/],
    ['empty', '', /no JWS/],
    ['a page', '<html>404</html>', /no JWS/],
    ['2 MiB', 'x'.repeat(2 << 20), /larger than 1048576 bytes/],
    ['with problems', await signer.sign(666, FILES), /^x: refused$/],
  ];
  for (const [what, content, expected] of cases) {
    server.content = content;
    assert.match((await one.poll()) ?? 'taken', expected, what);
    assert.equal(serialOf(one.bundle), 5, what);
  }
  const answers: readonly (readonly [what: string, answer: BundleServer['answer'], expected: RegExp])[] = [
    ['404', (_, r) => void r.writeHead(404).end(), /answered 404/],
    ['500', (_, r) => void r.writeHead(500).end(), /answered 500/],
    [
      'a redirect',
      (_, r) => void r.writeHead(302, { location: server.url }).end(good),
      /redirects are not followed/,
    ],
    [
      'a gzip bomb',
      (_, r) => void r.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(64 << 20))),
      /larger than 1048576 bytes after decompression/,
    ],
    ['the end of the connection', (_, r) => void r.socket!.destroy(), /cannot be reached/],
  ];
  for (const [what, answer, expected] of answers) {
    server.answer = answer;
    assert.match((await one.poll()) ?? 'taken', expected, what);
    assert.equal(serialOf(one.bundle), 5, what);
  }
  server.answer = undefined;
  server.content = good;
  assert.equal(
    await one.poll(),
    undefined,
    'what was refused is over once the server has the good one again',
  );
  assert.deepEqual(one.taken, [5]);
});

test('a server that drips byte by byte is given up after 5 s', async (t) => {
  const { server, follow } = await scene(t);
  server.answer = (_, response) => {
    response.writeHead(200);
    const drip = setInterval(() => response.write('x'), 50);
    response.once('close', () => clearInterval(drip));
  };
  const one = await follow();
  const begun = performance.now();
  await one.start();
  const took = performance.now() - begun;
  t.diagnostic(`given up after ${took.toFixed(0)} ms`);
  assert.ok(took < 8_000, `${took}`);
  assert.match((one.bundle.status() as { refused: string }).refused, /no answer in time/);
});

test('a server that nobody vouches for is not asked', async (t) => {
  const { server, signer, follow } = await scene(t);
  server.content = await signer.sign(1, FILES);
  const stranger = await createAuthority(folder, 'another authority');
  const one = await follow({ caFile: stranger.ca });
  await one.start();
  assert.equal(server.counts.requests, 0);
  assert.equal(one.bundle.current, undefined);
});

test('a day without the server changes nothing', async (t) => {
  const { server, signer, clock, follow } = await scene(t);
  server.content = await signer.sign(1, FILES, { expiresAt: clock.now() + 48 * HOUR_MS });
  const one = await follow();
  await one.start();
  server.answer = (_, response) => void response.socket!.destroy();
  for (let i = 0; i < 20; i++) assert.match((await one.poll())!, /cannot be reached/);
  await clock.advance(24 * HOUR_MS - 20 * 1.2 * POLL_MS);
  assert.equal(serialOf(one.bundle), 1);
  server.answer = undefined;
  server.content = await signer.sign(2, FILES);
  await one.poll();
  await one.poll();
  assert.equal(serialOf(one.bundle), 2);
});

test('while there is none, a server without it is asked ever less often', async (t) => {
  const { server, clock, follow } = await scene(t);
  server.answer = (_, response) => void response.writeHead(404).end();
  const one = await follow();
  await one.start();
  for (let i = 0; i < 6; i++) assert.match((await one.poll())!, /answered 404/);
  const { requests } = server.counts;
  // Half of a whole poll, by the test's dice.
  await clock.advance(POLL_MS * 0.4);
  await sleep(50);
  assert.equal(server.counts.requests, requests);
});

test('a server that wants to be left alone for an hour is, for five polls', async (t) => {
  const { server, signer, clock, follow } = await scene(t);
  server.content = await signer.sign(1, FILES);
  const one = await follow();
  await one.start();
  server.answer = (_, response) => void response.writeHead(503, { 'retry-after': '3600' }).end();
  assert.match((await one.poll())!, /answered 503/);
  server.answer = undefined;
  server.content = await signer.sign(2, FILES);
  const { requests } = server.counts;
  await clock.advance(POLL_MS * 4.9);
  await sleep(50);
  assert.equal(server.counts.requests, requests);
  assert.equal(await one.poll(), undefined);
  assert.equal(serialOf(one.bundle), 2);
});

test('one that expires stays in force, and a 304 for it is an answer', async (t) => {
  const { server, signer, clock, follow } = await scene(t);
  server.content = await signer.sign(1, FILES);
  const one = await follow();
  await one.start();
  await clock.advance(2 * HOUR_MS);
  assert.equal(await one.poll(), undefined);
  assert.equal(serialOf(one.bundle), 1);
});

test('a clock set back takes no old bundle, and says of a new one that the clocks differ', async (t) => {
  const { server, signer, clock, follow } = await scene(t);
  const old = await signer.sign(1, FILES);
  await clock.advance(24 * HOUR_MS);
  server.content = await signer.sign(2, FILES);
  const one = await follow();
  await one.start();
  const next = await signer.sign(3, FILES);
  clock.setWall(clock.now() - 24 * HOUR_MS);
  server.content = old;
  assert.match((await one.poll())!, /^serial 1 is older than 2$/);
  server.content = next;
  assert.match((await one.poll())!, /one of the two clocks is wrong/);
  assert.equal(serialOf(one.bundle), 2);
});

test('with state_dir the last good one is in force before the server is asked, and its serial is kept', async (t) => {
  const { own, server, signer, follow } = await scene(t);
  const old = await signer.sign(1, FILES);
  server.content = await signer.sign(2, FILES);
  const one = await follow({ stateDir: own });
  await one.start();
  await one.bundle.stop();
  server.answer = (_, response) => void response.socket!.destroy();
  const restarted = await follow({ stateDir: own });
  await restarted.restore();
  assert.deepEqual(restarted.taken, [2], 'without the server');
  server.answer = undefined;
  server.content = old;
  restarted.bundle.start();
  assert.match((await restarted.poll())!, /^serial 1 is older than 2$/);
});

test('what lies in state_dir is verified again: not a changed one, not of a key that counts no more, not an expired one', async (t) => {
  const { own, server, signer, clock, keys, follow } = await scene(t);
  const file = join(own, 'policy-bundle.jws');
  server.content = await signer.sign(2, FILES);
  const one = await follow({ stateDir: own });
  await one.start();
  await one.bundle.stop();
  const good = await readFile(file, 'utf8');
  server.answer = (_, response) => void response.socket!.destroy();
  const restart = async (): Promise<readonly number[]> => {
    const again = await follow({ stateDir: own });
    await again.restore();
    await again.bundle.stop();
    return again.taken;
  };
  assert.deepEqual(await restart(), [2]);
  await writeFile(file, `${good.slice(0, -4)}AAAA`);
  assert.deepEqual(await restart(), []);
  for (const damaged of ['', 'x'.repeat(2 << 20)]) {
    await writeFile(file, damaged);
    assert.deepEqual(await restart(), []);
  }
  await writeFile(file, good);
  await writeFile(keys, createBundleSigner().publicPem);
  assert.deepEqual(await restart(), []);
  await writeFile(keys, signer.publicPem);
  await clock.advance(2 * HOUR_MS);
  assert.deepEqual(await restart(), []);
  // Its serial counts on.
  server.answer = undefined;
  server.content = await signer.sign(1, FILES);
  const later = await follow({ stateDir: own });
  await later.start();
  assert.match((later.bundle.status() as { refused: string }).refused, /^serial 1 is older than 2$/);
});

test('a new key in the file counts from the next bundle on', async (t) => {
  const { server, signer, keys, clock, follow } = await scene(t);
  server.content = await signer.sign(1, FILES);
  const one = await follow();
  await one.start();
  const next = createBundleSigner(() => clock.now());
  server.content = await next.sign(2, FILES);
  assert.match((await one.poll())!, /signature does not hold/);
  await writeFile(keys, signer.publicPem + next.publicPem);
  assert.equal(await one.poll(), undefined);
  assert.deepEqual(one.taken, [1, 2]);
});
