// Random sequences of frames, legal and illegal, for two servers, and what a client can see of how they took them.
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { FrameType } from '../../src/http2/frames.ts';
import { callHead, connectRaw, frame, number32, type RawClient, setting } from './raw-http2.ts';

export const ECHO = '/t.T/Echo';

const MAX_STREAMS = 12;
const message = fc.uint8Array({ maxLength: 40 });
const wrap = (m: Uint8Array) => Buffer.concat([Buffer.of(0), number32(m.length), m]);
const id = fc.oneof(
  fc.integer({ min: 0, max: MAX_STREAMS }).map((n) => 2 * n + 1),
  fc.constantFrom(0, 2),
);
const flags = fc.constantFrom(0, 1, 4, 5, 8, 0x20, 0x2d);

/** Frames of one kind of step; a call gets the next identifier, so that sequences get somewhere before they are ended. */
type Step = (next: () => number) => Buffer[];

const wholeCall: fc.Arbitrary<Step> = fc.tuple(message, fc.nat(40)).map(([m, cut]) => (next) => {
  const own = next();
  const body = wrap(m);
  const at = cut % (body.length + 1);
  return [
    frame(FrameType.HEADERS, 4, own, callHead(ECHO)),
    frame(FrameType.DATA, 0, own, body.subarray(0, at)),
    frame(FrameType.DATA, 1, own, body.subarray(at)),
  ];
});
const paddedCall: fc.Arbitrary<Step> = fc.tuple(message, fc.nat(30)).map(([m, pad]) => (next) => {
  const own = next();
  const padding = Buffer.alloc(pad);
  return [
    frame(FrameType.HEADERS, 0xc, own, Buffer.concat([Buffer.of(pad), callHead(ECHO), padding])),
    frame(FrameType.DATA, 9, own, Buffer.concat([Buffer.of(pad), wrap(m), padding])),
  ];
});
const continuedCall: fc.Arbitrary<Step> = fc.tuple(message, fc.nat(40)).map(([m, cut]) => (next) => {
  const own = next();
  const head = callHead(ECHO);
  return [
    frame(FrameType.HEADERS, 0, own, head.subarray(0, cut)),
    frame(FrameType.CONTINUATION, 4, own, head.subarray(cut)),
    frame(FrameType.DATA, 1, own, wrap(m)),
  ];
});
const resetCall: fc.Arbitrary<Step> = fc.constant((next) => {
  const own = next();
  return [frame(FrameType.HEADERS, 4, own, callHead(ECHO)), frame(FrameType.RST_STREAM, 0, own, number32(8))];
});
const one = (arbitrary: fc.Arbitrary<Buffer>): fc.Arbitrary<Step> => arbitrary.map((bytes) => () => [bytes]);
const harmless = fc.oneof(
  one(fc.uint8Array({ minLength: 8, maxLength: 8 }).map((p) => frame(FrameType.PING, 0, 0, p))),
  one(fc.integer({ min: 1, max: 70_000 }).map((n) => frame(FrameType.WINDOW_UPDATE, 0, 0, number32(n)))),
  one(fc.integer({ min: 0, max: 70_000 }).map((n) => frame(FrameType.SETTINGS, 0, 0, setting(4, n)))),
  one(fc.tuple(fc.integer({ min: 12, max: 255 }), flags, message).map(([t, f, m]) => frame(t, f, 0, m))),
);
const anything = fc.oneof(
  one(fc.tuple(fc.integer({ min: 0, max: 9 }), flags, id, message).map(([t, f, i, m]) => frame(t, f, i, m))),
  one(fc.tuple(id, flags, message).map(([i, f, m]) => frame(FrameType.DATA, f, i, m))),
  one(fc.tuple(id, message).map(([i, m]) => frame(FrameType.HEADERS, 4, i, m))),
  one(id.map((i) => frame(FrameType.RST_STREAM, 0, i, number32(8)))),
  one(fc.tuple(id, fc.nat(70_000)).map(([i, n]) => frame(FrameType.WINDOW_UPDATE, 0, i, number32(n)))),
  one(fc.tuple(fc.nat(8), fc.nat(70_000)).map(([s, v]) => frame(FrameType.SETTINGS, 0, 0, setting(s, v)))),
);

const step = fc.oneof(
  { weight: 8, arbitrary: wholeCall },
  { weight: 3, arbitrary: paddedCall },
  { weight: 3, arbitrary: continuedCall },
  { weight: 2, arbitrary: resetCall },
  { weight: 4, arbitrary: harmless },
  { weight: 2, arbitrary: anything },
);

export const anySequence: fc.Arbitrary<Buffer[]> = fc
  .array(step, { minLength: 1, maxLength: MAX_STREAMS })
  .map((steps) => {
    let last = -1;
    const next = () => {
      last += 2;
      return last;
    };
    return steps.flatMap((make) => make(next));
  });

export interface Seen {
  /** `goaway` with the class of its code, or `open`. */
  readonly connection: string;
  /** Per stream: a hash of its answer's bytes, or the class of its reset. */
  readonly streams: ReadonlyMap<number, string>;
}

const LAST_PING = Buffer.from('lastping');

/** Sends it all and waits until the server has dealt with it: a PING at the end is answered, or the connection ends. */
export async function watch(
  path: string,
  frames: readonly Buffer[],
  cuts: readonly number[] = [],
): Promise<Seen> {
  const client = await connectRaw(path);
  const bytes = Buffer.concat([...frames, frame(FrameType.PING, 0, 0, LAST_PING)]);
  let at = 0;
  for (const cut of [...cuts.map((c) => c % bytes.length).sort((a, b) => a - b), bytes.length]) {
    client.send(bytes.subarray(at, cut));
    at = cut;
    if (cut < bytes.length) await new Promise((resolve) => setImmediate(resolve));
  }
  const over = () => client.closed || client.goaway() !== undefined;
  await client.until(() => over() || pongs(client) === 1);
  // Node answers a PING before the calls that came before it: once more, for its next turn.
  for (let round = 2; round <= 3 && !over(); round++) {
    client.send(frame(FrameType.PING, 0, 0, LAST_PING));
    await client.until(() => over() || pongs(client) === round);
  }
  const seen = { connection: connectionOf(client), streams: streamsOf(client) };
  client.close();
  return seen;
}

function pongs(client: RawClient): number {
  return client.frames.filter(
    (f) => f.type === FrameType.PING && f.flags === 1 && f.payload.equals(LAST_PING),
  ).length;
}

function connectionOf(client: RawClient): string {
  const code = client.goaway();
  if (code === undefined) return client.closed ? 'closed' : 'open';
  return 'ended';
}

function streamsOf(client: RawClient): Map<number, string> {
  const streams = new Map<number, string>();
  for (let stream = 1; stream <= 2 * MAX_STREAMS + 1; stream += 2) {
    const data = client.frames.filter((f) => f.id === stream && f.type === FrameType.DATA);
    if (client.ended(stream) && data.length > 0) {
      const hash = createHash('sha256').update(Buffer.concat(data.map((f) => f.payload)));
      streams.set(stream, `answer ${hash.digest('hex').slice(0, 12)}`);
    } else if (client.ended(stream)) streams.set(stream, 'status');
    else if (client.reset(stream) !== undefined) streams.set(stream, 'reset');
  }
  return streams;
}
