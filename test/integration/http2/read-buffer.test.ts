// All plain connections read into the same bytes: what is not whole must have been kept before the next one reads.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { FrameType } from '../../../src/http2/frames.ts';
import { createRawFront } from '../../../src/server/raw-front.ts';
import { call, callHead, connectRaw, frame, number32 } from '../../support/raw-http2.ts';
import { createRecordingObserver } from '../../support/recording-observer.ts';
import { createSocketFolder } from '../../support/sockets.ts';

const echo = new Map([['/t.T/Echo', (message: Uint8Array) => message]]);

/** Bodies of the DATA frames on stream 1, without the five bytes before the message. */
const answered = (frames: readonly { type: number; id: number; payload: Buffer }[]) =>
  Buffer.concat(frames.filter((f) => f.type === FrameType.DATA && f.id === 1).map((f) => f.payload))
    .subarray(5)
    .toString();

async function startEcho(t: TestContext) {
  const sockets = createSocketFolder();
  const { observer } = createRecordingObserver();
  const front = createRawFront(echo, { observer, name: 'check' });
  const address = await front.listen(sockets.address('echo.sock'));
  t.after(async () => {
    await front.drain(0);
    sockets.remove();
  });
  return {
    front,
    async connect() {
      const client = await connectRaw(address.slice('unix://'.length));
      t.after(() => client.close());
      return client;
    },
  };
}

test('connections whose frames are cut anywhere, each read between two of the other, get their own answers', async (t) => {
  const { connect } = await startEcho(t);
  const [a, b] = [await connect(), await connect()];
  const calls = [
    call(1, '/t.T/Echo', Buffer.from('a'.repeat(40))),
    call(1, '/t.T/Echo', Buffer.alloc(40, 'b')),
  ];
  for (let at = 0; at < calls[0]!.length; at += 7) {
    a.send(calls[0]!.subarray(at, at + 7));
    b.send(calls[1]!.subarray(at, at + 7));
    await sleep(2);
  }
  await Promise.all([a, b].map((client) => client.until(() => client.ended(1))));
  assert.equal(answered(a.frames), 'a'.repeat(40));
  assert.equal(answered(b.frames), 'b'.repeat(40));
});

test('a message and a header block in several frames survive what another connection sends meanwhile', async (t) => {
  const { connect } = await startEcho(t);
  const [a, b] = [await connect(), await connect()];
  const head = callHead('/t.T/Echo', [['x-long', 'x'.repeat(100)]]);
  const body = Buffer.concat([Buffer.of(0), number32(4), Buffer.from('mine')]);
  const noise = (id: number) => call(id, '/t.T/Echo', Buffer.alloc(500, 0xff));
  const parts = [
    frame(FrameType.HEADERS, 0, 1, head.subarray(0, 30)),
    frame(FrameType.CONTINUATION, 4, 1, head.subarray(30)),
    frame(FrameType.DATA, 0, 1, body.subarray(0, 6)),
    frame(FrameType.DATA, 1, 1, body.subarray(6)),
  ];
  for (const [i, part] of parts.entries()) {
    a.send(part);
    await sleep(5);
    b.send(noise(2 * i + 1));
    await b.until(() => b.ended(2 * i + 1));
  }
  await a.until(() => a.ended(1));
  assert.equal(answered(a.frames), 'mine');
});

test('a front whose clients have left, some in the middle of a frame, is closed at once', async (t) => {
  const { connect, front } = await startEcho(t);
  const clients = await Promise.all(Array.from({ length: 5 }, () => connect()));
  for (const client of clients) client.send(call(1, '/t.T/Echo', Buffer.from('x')).subarray(0, 20));
  await sleep(20);
  for (const [i, client] of clients.entries()) i % 2 === 0 ? client.close() : client.socket.end();
  await Promise.all(clients.map((client) => client.until(() => client.closed)));
  const begun = performance.now();
  await front.drain(5_000);
  assert.ok(performance.now() - begun < 4_000, 'every connection was given back to the listener');
});

test('answers that wait for a peer that does not read stay what they were, and hold little memory', async (t) => {
  const { connect } = await startEcho(t);
  const [idle, busy] = [await connect(), await connect()];
  const CALLS = 2_000;
  const text = (id: number) => String(id).padStart(20, '.');
  idle.socket.pause();
  const before = process.memoryUsage().arrayBuffers;
  let most = 0;
  for (let id = 1; id < 2 * CALLS; id += 2) {
    // One by one: each answer is a write of its own, and from some hundreds on they wait.
    idle.send(call(id, '/t.T/Echo', Buffer.from(text(id))));
    busy.send(call(id, '/t.T/Echo', Buffer.alloc(20, 'b')));
    await busy.until(() => busy.ended(id));
    most = Math.max(most, process.memoryUsage().arrayBuffers - before);
  }
  idle.socket.resume();
  await idle.until(() => idle.ended(2 * CALLS - 1));
  for (const { type, id, payload } of idle.frames) {
    if (type === FrameType.DATA) assert.equal(payload.subarray(5).toString(), text(id));
  }
  t.diagnostic(`${Math.round(most / 1024)} KB held`);
  assert.ok(most < 16 << 20, `${most} bytes held`);
});
