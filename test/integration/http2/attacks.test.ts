// What a hostile or broken peer may try, one by one. Each is ended or bounded, counted, and nobody else notices.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ErrorCode } from '../../../src/http2/errors.ts';
import { Flag, FrameType } from '../../../src/http2/frames.ts';
import type { Limits } from '../../../src/http2/limits.ts';
import type { Front } from '../../../src/server/front.ts';
import { createRawFront } from '../../../src/server/raw-front.ts';
import {
  call,
  callHead,
  connectRaw,
  frame,
  number32,
  type RawClient,
  setting,
} from '../../support/raw-http2.ts';
import { createRecordingObserver } from '../../support/recording-observer.ts';
import { createSocketFolder } from '../../support/sockets.ts';
import { until } from '../../support/until.ts';

const { CALM, HEADERS, DATA } = { CALM: ErrorCode.ENHANCE_YOUR_CALM, ...FrameType };
const EMPTY = Buffer.alloc(0);
const MIB = 1 << 20;

const sockets = createSocketFolder();
const recorded = createRecordingObserver();
const waiting = new Set<() => void>();
const methods = new Map<
  string,
  (message: Uint8Array, call: { signal: AbortSignal }) => Uint8Array | Promise<Uint8Array>
>([
  ['/t.T/Echo', (message) => Uint8Array.from(message)],
  ['/t.T/Big', () => Buffer.alloc(60_000, 0x78)],
  [
    '/t.T/Waits',
    (_message, { signal }) =>
      new Promise((_resolve, reject) => {
        const end = () => {
          waiting.delete(end);
          reject(new Error('aborted'));
        };
        waiting.add(end);
        signal.addEventListener('abort', end, { once: true });
      }),
  ],
]);

let front: Front;
let path = '';

async function startFront(
  name: string,
  limits: Partial<Limits> = {},
): Promise<{ front: Front; path: string }> {
  const started = createRawFront(methods, { observer: recorded.observer, name, limits });
  const address = await started.listen(sockets.address(`${name}.sock`));
  return { front: started, path: address.slice('unix://'.length) };
}

before(async () => {
  ({ front, path } = await startFront('check'));
});
after(async () => {
  await front.drain(100);
  sockets.remove();
});

const faults = (fault: string) => recorded.named('peerFault').filter(([, told]) => told === fault).length;

/** Runs the attack while another connection makes calls, each of which must be answered; attacker and server are one process. */
async function undisturbed(attack: () => Promise<void>, maxGrowthMiB = 100): Promise<void> {
  const bystander = await connectRaw(path);
  let over = false;
  let slowest = 0;
  let calls = 0;
  const calling = (async () => {
    for (let id = 1; !over; id += 2) {
      const begun = performance.now();
      bystander.send(call(id, '/t.T/Echo', Buffer.from('x')));
      await bystander.until(() => bystander.ended(id), 5_000);
      slowest = Math.max(slowest, performance.now() - begun);
      calls++;
      bystander.frames.length = 0;
      await sleep(5);
    }
  })();
  global.gc?.();
  const before = process.memoryUsage().rss;
  try {
    await attack();
  } finally {
    over = true;
    await calling;
    bystander.close();
  }
  const grown = (process.memoryUsage().rss - before) / MIB;
  assert.ok(calls > 0);
  assert.ok(grown < maxGrowthMiB, `resident memory grew by ${grown.toFixed(0)} MiB`);
}

/** The connection was ended with this code and counted as this fault. */
async function endedWith(client: RawClient, code: number, fault: string, before: number): Promise<void> {
  await client.until(() => client.goaway() !== undefined);
  assert.equal(client.goaway(), code);
  assert.equal(faults(fault), before + 1, `${fault} is counted once`);
  await client.until(() => client.closed);
}

describe('floods', () => {
  test('10,001 resets of calls that wait for their answer end the connection; nothing of them is left', async () => {
    await undisturbed(async () => {
      const before = faults('rapid_reset');
      const client = await connectRaw(path);
      for (let i = 0, id = 1; i < 10_001; i += 100) {
        const parts: Buffer[] = [];
        for (let k = 0; k < 100; k++, id += 2) {
          parts.push(call(id, '/t.T/Waits', EMPTY), frame(FrameType.RST_STREAM, 0, id, number32(8)));
        }
        client.send(...parts);
        await sleep(1);
      }
      await endedWith(client, CALM, 'rapid_reset', before);
    });
    assert.equal(waiting.size, 0);
  });

  test('20,000 resets after the answer, or after the deadline, cost nothing', async () => {
    await undisturbed(async () => {
      const before = faults('rapid_reset');
      const client = await connectRaw(path);
      client.send(frame(FrameType.WINDOW_UPDATE, 0, 0, number32(MIB)));
      let id = 1;
      for (let i = 0; i < 20_000; i += 100) {
        const parts: Buffer[] = [];
        for (let k = 0; k < 100; k++, id += 2) {
          parts.push(call(id, '/t.T/Echo', EMPTY), frame(FrameType.RST_STREAM, 0, id, number32(8)));
        }
        client.send(...parts);
        await sleep(1);
      }
      await client.until(() => client.ended(id - 2));
      for (let i = 0; i < 12; i++) {
        const late = Array.from({ length: 1_000 }, (_, k) => id + 2 * k);
        id += 2_000;
        client.send(...late.map((own) => call(own, '/t.T/Waits', EMPTY, [['grpc-timeout', '1m']])));
        await sleep(5);
        client.send(...late.map((own) => frame(FrameType.RST_STREAM, 0, own, number32(8))));
        client.frames.length = 0;
      }
      client.send(call(id, '/t.T/Echo', EMPTY));
      await client.until(() => client.ended(id));
      assert.equal(client.goaway(), undefined);
      assert.equal(faults('rapid_reset'), before);
      client.close();
    }, 250); // the client keeps what comes back: 60,000 frames
  });

  test('12,000 resets of half-sent messages, or of heads without one, after the deadline cost nothing', async () => {
    await undisturbed(async () => {
      const before = faults('rapid_reset');
      const client = await connectRaw(path);
      let id = 1;
      const head = callHead('/t.T/Echo', [['grpc-timeout', '1m']]);
      const half = Buffer.of(0, 0, 0, 0, 9, 1);
      for (let i = 0; i < 12; i++) {
        const late = Array.from({ length: 1_000 }, (_, k) => id + 2 * k);
        id += 2_000;
        client.send(
          ...late.flatMap((own) => [
            frame(HEADERS, Flag.END_HEADERS, own, head),
            ...(i % 2 === 0 ? [] : [frame(DATA, 0, own, half)]),
          ]),
        );
        await sleep(10);
        client.send(...late.map((own) => frame(FrameType.RST_STREAM, 0, own, number32(8))));
      }
      client.send(call(id, '/t.T/Echo', EMPTY));
      await client.until(() => client.ended(id));
      assert.equal(client.goaway(), undefined);
      assert.equal(faults('rapid_reset'), before);
      client.close();
    }, 250);
  });

  test('10,001 resets of half-sent messages before their deadline end the connection', async () => {
    await undisturbed(async () => {
      const before = faults('rapid_reset');
      const client = await connectRaw(path);
      const head = callHead('/t.T/Echo', [['grpc-timeout', '1M']]);
      for (let i = 0, id = 1; i < 10_001; i += 100) {
        const parts: Buffer[] = [];
        for (let k = 0; k < 100; k++, id += 2) {
          parts.push(
            frame(HEADERS, Flag.END_HEADERS, id, head),
            frame(DATA, 0, id, Buffer.of(0, 0)),
            frame(FrameType.RST_STREAM, 0, id, number32(8)),
          );
        }
        client.send(...parts);
        await sleep(1);
      }
      await endedWith(client, CALM, 'rapid_reset', before);
    });
  });

  for (const [what, fault, bytes] of [
    ['SETTINGS', 'settings_flood', frame(FrameType.SETTINGS, 0, 0)],
    ['PING', 'ping_flood', frame(FrameType.PING, 0, 0, Buffer.alloc(8))],
    ['PRIORITY', 'ping_flood', frame(FrameType.PRIORITY, 0, 1, Buffer.from([0, 0, 0, 3, 1]))],
    ['unknown empty frames', 'empty_frames', frame(0xfa, 0, 0)],
  ] as const) {
    test(`a flood of ${what} ends the connection`, async () => {
      await undisturbed(async () => {
        const before = faults(fault);
        const client = await connectRaw(path);
        const hundred = Buffer.concat(Array.from({ length: 100 }, () => bytes));
        for (let i = 0; i < 120 && !client.closed; i++) {
          client.send(hundred);
          await sleep(1);
        }
        await endedWith(client, CALM, fault, before);
      });
    });
  }

  test('a flood of empty DATA ends the connection', async () => {
    await undisturbed(async () => {
      const before = faults('empty_frames');
      const client = await connectRaw(path);
      client.send(frame(HEADERS, Flag.END_HEADERS, 1, callHead('/t.T/Echo')));
      client.send(...Array.from({ length: 1_100 }, () => frame(DATA, 0, 1)));
      await endedWith(client, CALM, 'empty_frames', before);
    });
  });

  test('a header block that never ends is cut off, in few large frames and in many empty ones', async () => {
    await undisturbed(async () => {
      for (const part of [EMPTY, Buffer.alloc(4_096, 0x82)]) {
        const before = faults('continuation_flood');
        const client = await connectRaw(path);
        client.send(frame(HEADERS, 0, 1, callHead('/t.T/Echo')));
        client.send(...Array.from({ length: 40 }, () => frame(FrameType.CONTINUATION, 0, 1, part)));
        await endedWith(client, CALM, 'continuation_flood', before);
      }
    });
  });

  test('10,001 streams that are refused end the connection', async () => {
    await undisturbed(async () => {
      const before = faults('stream_errors');
      const client = await connectRaw(path);
      let id = 1;
      while (!client.closed && id < 24_000) {
        const parts: Buffer[] = [];
        for (let k = 0; k < 100; k++, id += 2) {
          parts.push(frame(HEADERS, Flag.END_HEADERS | Flag.END_STREAM, id, Buffer.from([0x82])));
        }
        client.send(...parts);
        await sleep(1);
      }
      await endedWith(client, CALM, 'stream_errors', before);
    });
  });
});

describe('large things', () => {
  test('a header list above 16 KiB is answered 431, by references to one entry of the table too', async () => {
    await undisturbed(async () => {
      const before = faults('header_list_too_large');
      const client = await connectRaw(path);
      const entry = Buffer.concat([Buffer.from('4001617fb916', 'hex'), Buffer.alloc(3_000, 0x78)]);
      const bomb = Buffer.concat([callHead('/t.T/Echo'), entry, Buffer.alloc(12_000, 0xbe)]);
      client.send(frame(HEADERS, Flag.END_HEADERS | Flag.END_STREAM, 1, bomb));
      await client.until(() => client.ended(1));
      assert.equal(faults('header_list_too_large'), before + 1);
      // The connection goes on, with the table in step: 62 is the entry of the bomb.
      client.send(call(3, '/t.T/Echo', Buffer.from('on'), [['x-more', 'y']]));
      await client.until(() => client.ended(3));
      client.close();
    });
  });

  test('the 1,001st open stream is refused, the thousand go on', async () => {
    await undisturbed(async () => {
      const before = faults('too_many_streams');
      const client = await connectRaw(path);
      for (let i = 0; i < 1_001; i++) client.send(call(1 + 2 * i, '/t.T/Waits', EMPTY));
      await client.until(() => client.reset(2_001) !== undefined);
      assert.equal(client.reset(2_001), ErrorCode.REFUSED_STREAM);
      assert.equal(client.frames.filter(({ type }) => type === FrameType.RST_STREAM).length, 1);
      assert.equal(faults('too_many_streams'), before + 1);
      assert.equal(waiting.size, 1_000);
      client.close();
      await until('every call is gone', () => waiting.size === 0);
    });
  });

  test('a message above 256 KiB is RESOURCE_EXHAUSTED as soon as its length is known', async () => {
    await undisturbed(async () => {
      const client = await connectRaw(path);
      client.send(frame(HEADERS, Flag.END_HEADERS, 1, callHead('/t.T/Echo')));
      client.send(frame(DATA, 0, 1, Buffer.concat([Buffer.of(0), number32(256 * 1024 + 1)])));
      await client.until(() => client.ended(1));
      assert.match(client.frames.find(({ id }) => id === 1)!.payload.toString('latin1'), /grpc-status\x018/);
      assert.equal(client.reset(1), ErrorCode.NO_ERROR);
      // What was on its way is ignored.
      client.send(frame(DATA, 0, 1, Buffer.alloc(16_000)), call(3, '/t.T/Echo', EMPTY));
      await client.until(() => client.ended(3));
      assert.equal(client.goaway(), undefined);
      client.close();
    });
  });

  test('unfinished messages are bounded together, and what they held is given back', async () => {
    await undisturbed(async () => {
      const client = await connectRaw(path);
      const part = Buffer.concat([Buffer.of(0), number32(200_000), Buffer.alloc(16_000)]);
      let refused = 0;
      for (let i = 0; i < 300; i++) {
        const id = 1 + 2 * i;
        client.send(frame(HEADERS, Flag.END_HEADERS, id, callHead('/t.T/Echo')), frame(DATA, 0, id, part));
        for (let k = 0; k < 9; k++) client.send(frame(DATA, 0, id, Buffer.alloc(16_000)));
        if (i % 20 === 0) await sleep(1);
      }
      await until('80 are refused', () => {
        refused = client.frames.filter(
          (f) => f.type === HEADERS && /grpc-status\x018/.test(f.payload.toString('latin1')),
        ).length;
        return refused >= 80;
      });
      assert.ok(refused < 120, `${refused} of 300 refused: 32 MiB hold 209 unfinished messages of 160 kB`);
      client.close();
      await until('what was held is free', async () => {
        const next = await connectRaw(path);
        next.send(frame(HEADERS, Flag.END_HEADERS, 1, callHead('/t.T/Echo')), frame(DATA, 0, 1, part));
        await sleep(50);
        const isKept = !next.ended(1);
        next.close();
        return isKept;
      });
      // Client and server are one process here: 48 MB sent, of which 32 are kept.
    }, 250);
  });
});

describe('flow control', () => {
  const INITIAL_WINDOW_SIZE = 4;

  test('with a window of one byte an answer comes byte by byte, whole', async () => {
    const client = await connectRaw(path, true, setting(INITIAL_WINDOW_SIZE, 1));
    client.send(call(1, '/t.T/Echo', Buffer.from('abc')));
    for (let i = 1; i < 8; i++) {
      await client.until(() => client.frames.filter((f) => f.type === DATA).length === i);
      client.send(frame(FrameType.WINDOW_UPDATE, 0, 1, number32(1)));
    }
    await client.until(() => client.ended(1));
    const data = Buffer.concat(client.frames.filter((f) => f.type === DATA).map(({ payload }) => payload));
    assert.equal(data.toString('hex'), '0000000003616263');
    client.close();
  });

  test('a window that SETTINGS made negative must grow above zero before anything more comes', async () => {
    const client = await connectRaw(path, true, setting(INITIAL_WINDOW_SIZE, 6));
    client.send(call(1, '/t.T/Echo', Buffer.from('abc')));
    await client.until(() => client.frames.some((f) => f.type === DATA));
    client.send(frame(FrameType.SETTINGS, 0, 0, setting(INITIAL_WINDOW_SIZE, 0)));
    client.send(frame(FrameType.WINDOW_UPDATE, 0, 1, number32(6))); // −6 + 6 = 0
    await sleep(30);
    assert.equal(client.ended(1), false);
    client.send(frame(FrameType.WINDOW_UPDATE, 0, 1, number32(2)));
    await client.until(() => client.ended(1));
    client.close();
  });

  test("answers wait for the connection's window and come in their order", async () => {
    const client = await connectRaw(path, true, setting(INITIAL_WINDOW_SIZE, 1 << 30));
    for (const id of [1, 3, 5]) client.send(call(id, '/t.T/Big', EMPTY));
    await client.until(() => client.ended(1));
    await sleep(30);
    assert.equal(client.ended(3), false); // 65,535 bytes for two answers of 60,005
    client.send(frame(FrameType.WINDOW_UPDATE, 0, 0, number32(1 << 20)));
    await client.until(() => client.ended(3) && client.ended(5));
    client.close();
  });

  test('a window above 2^31-1 ends the connection, or the stream', async () => {
    const client = await connectRaw(path);
    client.send(call(1, '/t.T/Waits', EMPTY), frame(FrameType.WINDOW_UPDATE, 0, 1, number32(0x7fff_ffff)));
    await client.until(() => client.reset(1) === ErrorCode.FLOW_CONTROL_ERROR);
    client.send(frame(FrameType.WINDOW_UPDATE, 0, 0, number32(0x7fff_ffff)));
    await client.until(() => client.goaway() === ErrorCode.FLOW_CONTROL_ERROR);
    await client.until(() => client.closed);
    assert.equal(waiting.size, 0);
  });

  test('a peer that does not read is cut off when 16 MiB wait for it', async () => {
    await undisturbed(async () => {
      const before = faults('slow_reader');
      const client = await connectRaw(path, true, setting(INITIAL_WINDOW_SIZE, 0x7fff_ffff));
      client.send(frame(FrameType.WINDOW_UPDATE, 0, 0, number32(0x7fff_0000)));
      client.socket.pause();
      for (let id = 1; id < 1_000 && faults('slow_reader') === before; id += 2) {
        client.send(call(id, '/t.T/Big', EMPTY));
        if (id % 50 === 1) await sleep(5);
      }
      await until('the fault is told', () => faults('slow_reader') === before + 1);
      client.close();
    });
  });

  test('a peer that keeps its windows shut is cut off when 16 MiB wait for it', async () => {
    await undisturbed(async () => {
      const before = faults('slow_reader');
      const client = await connectRaw(path, true, setting(INITIAL_WINDOW_SIZE, 0));
      for (let id = 1; id < 1_000; id += 2) client.send(call(id, '/t.T/Big', EMPTY));
      await client.until(() => client.closed);
      assert.equal(faults('slow_reader'), before + 1);
    });
  });
});

describe('silence and noise', () => {
  test('another protocol is ended at its first wrong byte', async () => {
    const before = faults('bad_preface');
    const client = await connectRaw(path, false);
    client.send(Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'));
    await endedWith(client, ErrorCode.PROTOCOL_ERROR, 'bad_preface', before);
  });

  test('half a preface is waited for, for so long', async () => {
    const short = await startFront('short', { prefaceTimeoutMs: 50 });
    const before = faults('preface_timeout');
    const client = await connectRaw(short.path, false);
    client.send(Buffer.from('PRI * HTTP'));
    await client.until(() => client.closed);
    assert.equal(faults('preface_timeout'), before + 1);
    await short.front.drain(100);
  });

  test('a silent peer is asked by PING and ended when it does not answer; one that answers stays', async () => {
    const short = await startFront('quiet', { keepaliveMs: 60, keepaliveTimeoutMs: 500 });
    const before = faults('keepalive_timeout');
    const silent = await connectRaw(short.path);
    const alive = await connectRaw(short.path);
    let answered = 0;
    const answering = setInterval(() => {
      const pings = alive.frames.filter((f) => f.type === FrameType.PING && f.flags === 0);
      for (; answered < pings.length; answered++) {
        alive.send(frame(FrameType.PING, Flag.ACK, 0, pings[answered]!.payload));
      }
    }, 5);
    await silent.until(() => silent.closed);
    await sleep(400);
    clearInterval(answering);
    assert.equal(alive.closed, false);
    assert.ok(answered >= 2, `${answered} PINGs`);
    assert.equal(faults('keepalive_timeout'), before + 1);
    alive.close();
    await short.front.drain(100);
  });

  test('an idle connection and one that is old enough end gracefully: GOAWAY, the open call answered', async () => {
    const idle = await startFront('idle', { idleTimeoutMs: 60 });
    const client = await connectRaw(idle.path);
    await client.until(() => client.closed);
    assert.equal(client.goaway(), ErrorCode.NO_ERROR);
    await idle.front.drain(100);

    const aged = await startFront('aged', { maxAgeMs: 80 });
    const old = await connectRaw(aged.path);
    old.send(frame(HEADERS, Flag.END_HEADERS, 1, callHead('/t.T/Echo')));
    await old.until(() => old.goaway() === ErrorCode.NO_ERROR);
    // A stream after the last GOAWAY is refused, so that the client may send it elsewhere; the open one is served.
    await old.until(() => old.frames.filter((f) => f.type === FrameType.GOAWAY).length === 2);
    old.send(call(3, '/t.T/Echo', EMPTY));
    await old.until(() => old.reset(3) === ErrorCode.REFUSED_STREAM);
    old.send(frame(DATA, Flag.END_STREAM, 1, Buffer.from('0000000000', 'hex')));
    await old.until(() => old.ended(1));
    await old.until(() => old.closed);
    await aged.front.drain(100);
  });
});
