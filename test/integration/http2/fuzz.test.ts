// Random sequences of frames to our server and to node:http2. What both answer must be the same bytes; where one ends a
// connection or resets a stream and the other does not, it must be one of the differences written down here.
//   npm run fuzz: a million frames, others each time. FUZZ_FRAMES sets another number, FUZZ_SEED repeats a run.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { FrameType } from '../../../src/http2/frames.ts';
import type { Front } from '../../../src/server/front.ts';
import { createNodeFront } from '../../../src/server/node-front.ts';
import { createRawFront } from '../../../src/server/raw-front.ts';
import { nullObserver } from '../../../src/telemetry/observer.ts';
import { anySequence, ECHO, type Seen, watch } from '../../support/frame-fuzz.ts';
import { createSocketFolder } from '../../support/sockets.ts';

const FRAMES_A_RUN = 12;
const runs = Math.ceil(Number(process.env['FUZZ_FRAMES'] ?? 60_000) / FRAMES_A_RUN);
const isSearch = process.env['FUZZ_FRAMES'] !== undefined;
const seed = Number(process.env['FUZZ_SEED'] ?? (isSearch ? Math.floor(Math.random() * 2 ** 31) : 1));

const sockets = createSocketFolder();
const methods = new Map([[ECHO, (message: Uint8Array) => Uint8Array.from(message)]]);
let ours: Front;
let nodes: Front;
let oursPath = '';
let nodesPath = '';
const unexpected: unknown[] = [];

before(async () => {
  const observer = {
    ...nullObserver,
    unexpected: (_where: string, error: unknown) => unexpected.push(error),
  };
  ours = createRawFront(methods, { observer, name: 'ours' });
  nodes = createNodeFront(methods, { observer: nullObserver, name: 'node' });
  oursPath = (await ours.listen(sockets.address('ours.sock'))).slice('unix://'.length);
  nodesPath = (await nodes.listen(sockets.address('node.sock'))).slice('unix://'.length);
});
after(async () => {
  await ours.drain(50);
  await nodes.drain(50);
  sockets.remove();
});

/** Where the two may differ, and why. Everything else must be the same. */
const DIFFERENCES = {
  /** What one of the two ended is compared no further than the bytes of what both had answered by then: they answer at
   * different moments, we while we read, Node in a later turn. */
  ended: 'one of the two ended the connection',
  /** We have answered a whole call before the next frame is looked at. Node reads on, finds that the client reset the
   * stream or made its window too small for the answer, and answers later or never. */
  earlier: 'we answered before a reset or a smaller window that came in the same read',
} as const;

const counts: Record<'same' | 'answers' | keyof typeof DIFFERENCES, number> = {
  same: 0,
  answers: 0,
  ended: 0,
  earlier: 0,
};

function compare(mine: Seen, theirs: Seen, frames: readonly Buffer[]): void {
  const bothOpen = mine.connection === 'open' && theirs.connection === 'open';
  counts[bothOpen ? 'same' : 'ended']++;
  const mayBeEarlier = frames.some((f) => f[3] === FrameType.RST_STREAM || f[3] === FrameType.SETTINGS);
  for (const stream of new Set([...mine.streams.keys(), ...theirs.streams.keys()])) {
    const [own, other] = [mine.streams.get(stream), theirs.streams.get(stream)];
    const [ownAnswer, otherAnswer] = [own, other].map((what) => what?.startsWith('answer') ?? false);
    if (ownAnswer && otherAnswer) {
      assert.equal(own, other, `stream ${stream} was answered differently`);
      counts.answers++;
    } else if (bothOpen && ownAnswer && mayBeEarlier) {
      counts.earlier++;
    } else if (bothOpen && (ownAnswer || otherAnswer)) {
      assert.equal(own, other, `stream ${stream} was answered by one of the two`);
    } else if (bothOpen && (own === 'reset') !== (other === 'reset')) {
      // A status without a body and a reset after it are the same refusal in two orders of frames.
      assert.ok(
        own === 'status' || other === 'status' || mayBeEarlier,
        `stream ${stream}: ${own} and ${other}`,
      );
    }
  }
}

test('random frames: what node:http2 answers we answer with the same bytes, and nothing crashes or hangs', async (t) => {
  await fc.assert(
    fc.asyncProperty(anySequence, async (frames) => {
      const [mine, theirs] = await Promise.all([watch(oursPath, frames), watch(nodesPath, frames)]);
      compare(mine, theirs, frames);
    }),
    { seed, numRuns: runs, endOnFailure: true },
  );
  t.diagnostic(`seed ${seed}, ${JSON.stringify(counts)}`);
  assert.deepEqual(unexpected, []);
  assert.ok(counts.answers > runs / 20, 'sequences that are answered');
  assert.ok(counts.same > runs / 20, 'connections that both keep open');
});

test('the same bytes cut anywhere have the same effect', async () => {
  await fc.assert(
    fc.asyncProperty(anySequence, fc.array(fc.nat(), { maxLength: 12 }), async (frames, cuts) => {
      assert.deepEqual(await watch(oursPath, frames, cuts), await watch(oursPath, frames));
    }),
    { seed, numRuns: Math.ceil(runs / 4), endOnFailure: true },
  );
});
