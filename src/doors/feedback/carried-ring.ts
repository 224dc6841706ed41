// Which credential the check door put on which request, of the last minute: an access log entry tells the request, the
// ring tells the generation. Fixed size; the newest entry of a slot wins, so a busy pod forgets, never guesses.
// It keeps hashes and no strings: strings of a minute survive every young collection of V8, which was a sixth of the
// processor time under load (bench: check_direct_ours_cpu).

const WINDOW_MS = 60_000;

/** What a door put on which request. */
export interface Carried {
  /** undefined = not known (any more). */
  find(
    requestId: string,
    authority: string,
    method: string,
    path: string,
    nowMonotonicMs: number,
  ): { readonly source: string; readonly generation: number } | 'in_doubt' | undefined;
}

export interface CarriedRing extends Carried {
  /** Hot. A request id alone never selects a credential: apps choose and share them, so the whole key is hashed. */
  record(
    requestId: string,
    authority: string,
    method: string,
    path: string,
    source: string,
    generation: number,
    nowMonotonicMs: number,
  ): void;
}

/** `size` slots, rounded up to a power of two. Default 16,384: a minute at 270 requests/s. */
export function createCarriedRing(size = 16_384): CarriedRing {
  const slots = 2 ** Math.ceil(Math.log2(Math.max(2, size)));
  const mask = slots - 1;
  // 64 bits of hash together; two seeds of their own for each process, so that no request can be made to meet another.
  const [seedA, seedB] = crypto.getRandomValues(new Uint32Array(2));
  const hashes = new Uint32Array(slots);
  const checks = new Uint32Array(slots);
  const times = new Float64Array(slots).fill(Number.NEGATIVE_INFINITY);
  const generations = new Float64Array(slots);
  const sources: string[] = new Array(slots).fill('');
  /** Two sources or generations under one key within the window. */
  const doubts = new Uint8Array(slots);

  return {
    record(requestId, authority, method, path, source, generation, now) {
      hash(seedA!, seedB!, requestId, authority, method, path);
      const slot = hashA & mask;
      const same = hashes[slot] === hashA && checks[slot] === hashB && now - times[slot]! <= WINDOW_MS;
      const other = generations[slot] !== generation || sources[slot] !== source;
      doubts[slot] = same && (doubts[slot] === 1 || other) ? 1 : 0;
      hashes[slot] = hashA;
      checks[slot] = hashB;
      generations[slot] = generation;
      if (sources[slot] !== source) sources[slot] = source;
      times[slot] = now;
    },
    find(requestId, authority, method, path, now) {
      hash(seedA!, seedB!, requestId, authority, method, path);
      const slot = hashA & mask;
      if (hashes[slot] !== hashA || checks[slot] !== hashB || now - times[slot]! > WINDOW_MS)
        return undefined;
      return doubts[slot] === 1 ? 'in_doubt' : { source: sources[slot]!, generation: generations[slot]! };
    },
  };
}

/** Both halves of the hash of the last key. */
let hashA = 0;
let hashB = 0;

// FNV-1a twice over in one pass, with an end mark after each part: "a" and "bc" are not "ab" and "c". The last lines
// spread what the low bits, which choose the slot, have not seen.
function hash(
  seedA: number,
  seedB: number,
  requestId: string,
  authority: string,
  method: string,
  path: string,
): void {
  hashA = seedA;
  hashB = seedB;
  mix(requestId);
  mix(authority);
  mix(method);
  mix(path);
  hashA = Math.imul(hashA ^ (hashA >>> 16), 0x85eb_ca6b);
  hashA = (hashA ^ (hashA >>> 13)) >>> 0;
  hashB >>>= 0;
}

function mix(text: string): void {
  let a = hashA;
  let b = hashB;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    a = Math.imul(a ^ code, 0x0100_0193);
    b = Math.imul(b ^ code, 0x5bd1_e995);
  }
  hashA = Math.imul(a ^ 0x1_0000, 0x0100_0193);
  hashB = Math.imul(b ^ 0x1_0000, 0x5bd1_e995);
}
