// The webhook's listener: who asks while it ends is answered, and nobody who is silent or sends much holds or fells it.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type TLSSocket } from 'node:tls';
import { createAuthority } from '../../../demo/certificates.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { createAdmissionServer } from '../../../src/server/admission-server.ts';
import { createRecordingObserver } from '../../support/recording-observer.ts';

const head = (length: number) => `POST /inject HTTP/1.1\r\nhost: x\r\ncontent-length: ${length}\r\n\r\n`;

async function start(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'bearerd-admission-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const { cert, key } = await (await createAuthority(folder)).issue('webhook', 'server');
  const recorded = createRecordingObserver();
  const server = await createAdmissionServer(
    {
      address: { kind: 'tcp', host: '127.0.0.1', port: 0 },
      files: { certificate: cert, privateKey: key },
      observer: recorded.observer,
      clock: systemClock,
    },
    (body) => ({ status: 200, body }),
  );
  const port = Number((await server.start()).split(':').at(-1));
  return {
    server,
    recorded,
    async silent() {
      const socket = connectTcp(port, '127.0.0.1').on('error', () => {});
      await once(socket, 'connect');
      return socket;
    },
    async open(text: string | Buffer): Promise<TLSSocket> {
      const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false }).on('error', () => {});
      await once(socket, 'secureConnect');
      socket.write(text);
      return socket;
    },
  };
}

/** Everything until the other side ends. */
async function answerOf(socket: TLSSocket): Promise<string> {
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk;
  });
  if (!socket.closed) await once(socket, 'close');
  return text;
}

describe('the listener of the webhook', { concurrency: true }, () => {
  test('at its end who still comes is answered, and a silent handshake and half a request hold nothing', async (t) => {
    const { server, silent, open } = await start(t);
    await silent();
    await open(`${head(4)}ab`);
    const late = await open(`${head(4)}ab`);
    await sleep(50);

    const begun = performance.now();
    const stopped = server.stop({ lateMs: 1_500, graceMs: 500 });
    assert.match(
      await answerOf(await open(`${head(4)}efgh`)),
      /^HTTP\/1\.1 200 [\s\S]*connection: close[\s\S]*efgh$/,
    );
    late.write('cd');
    assert.match(await answerOf(late), /^HTTP\/1\.1 200 [\s\S]*abcd$/);
    await stopped;
    const took = performance.now() - begun;
    t.diagnostic(`ended after ${Math.round(took)} ms`);
    assert.ok(took < 4_500, `${took} ms`);
  });

  test('who is silent is cut off as soon as the API server would have given up', async (t) => {
    const { server, silent, open, recorded } = await start(t);
    t.after(() => server.stop({ lateMs: 0, graceMs: 0 }));
    const begun = performance.now();
    const cut = await Promise.all([silent(), open('POST /inj'), open(`${head(4)}ab`)]);
    await Promise.all(cut.map(async (socket) => socket.resume().closed || once(socket, 'close')));
    const took = performance.now() - begun;
    t.diagnostic(`cut off after ${Math.round(took)} ms`);
    assert.ok(took < 15_000, `${took} ms`);
    assert.deepEqual(recorded.named('unexpected'), []);
  });

  test('a body that is too large is told so, and many at one time are turned away', async (t) => {
    const { server, open, recorded } = await start(t);
    t.after(() => server.stop({ lateMs: 0, graceMs: 0 }));
    const large = await open(head(2 << 20));
    large.write(Buffer.alloc((1 << 20) + 1, 32));
    assert.match(await answerOf(large), /^HTTP\/1\.1 413 [\s\S]*larger than 1048576 bytes/);

    const waiting = await Promise.all(Array.from({ length: 33 }, () => open(head(1 << 20))));
    const answers = waiting.map(answerOf);
    for (const socket of waiting) socket.write(Buffer.alloc((1 << 20) - 1, 32));
    assert.match(await Promise.race(answers), /^HTTP\/1\.1 503 [\s\S]*too many large bodies/);
    for (const socket of waiting) socket.destroy();
    await Promise.all(answers);
    assert.match(await answerOf(await open(`${head(2)}ok`)), /^HTTP\/1\.1 200 [\s\S]*ok$/);
    assert.deepEqual(recorded.named('unexpected'), []);
  });
});
