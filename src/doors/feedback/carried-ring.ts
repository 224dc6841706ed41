// Which credential the check door put on which request, of the last minute: an access log entry tells the request, the
// ring tells the generation. Fixed size; the newest entry of a slot wins, so a busy pod forgets, never guesses.

const WINDOW_MS = 60_000;

export interface Carried {
  readonly source: string;
  readonly generation: number;
}

interface Slot {
  requestId: string;
  authority: string;
  method: string;
  path: string;
  source: string;
  generation: number;
  /** Two sources or generations under one key within the window. */
  inDoubt: boolean;
  at: number;
}

export interface CarriedRing {
  /** Hot. A request id alone never selects a credential: apps choose and share them, so the whole key is compared. */
  record(
    requestId: string,
    authority: string,
    method: string,
    path: string,
    source: string,
    generation: number,
    nowMonotonicMs: number,
  ): void;
  /** undefined = not known (any more). */
  find(
    requestId: string,
    authority: string,
    method: string,
    path: string,
    nowMonotonicMs: number,
  ): Carried | 'in_doubt' | undefined;
}

/** `size` slots, rounded up to a power of two. Default 16,384: a minute at 270 requests/s. */
export function createCarriedRing(size = 16_384): CarriedRing {
  const mask = 2 ** Math.ceil(Math.log2(Math.max(2, size))) - 1;
  const slots: (Slot | undefined)[] = new Array(mask + 1);
  return {
    record(requestId, authority, method, path, source, generation, now) {
      const index = hash(requestId, path) & mask;
      const slot = slots[index];
      if (slot === undefined) {
        slots[index] = { requestId, authority, method, path, source, generation, inDoubt: false, at: now };
        return;
      }
      const same =
        slot.requestId === requestId &&
        slot.path === path &&
        slot.authority === authority &&
        slot.method === method &&
        now - slot.at <= WINDOW_MS;
      slot.inDoubt = same && (slot.inDoubt || slot.generation !== generation || slot.source !== source);
      slot.requestId = requestId;
      slot.authority = authority;
      slot.method = method;
      slot.path = path;
      slot.source = source;
      slot.generation = generation;
      slot.at = now;
    },
    find(requestId, authority, method, path, now) {
      const slot = slots[hash(requestId, path) & mask];
      if (
        slot === undefined ||
        slot.requestId !== requestId ||
        slot.path !== path ||
        slot.authority !== authority ||
        slot.method !== method ||
        now - slot.at > WINDOW_MS
      ) {
        return undefined;
      }
      return slot.inDoubt ? 'in_doubt' : slot;
    },
  };
}

// FNV-1a over the id and the last characters of the path: ids differ in practice, the rest is compared in full.
function hash(requestId: string, path: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < requestId.length && i < 64; i++) h = Math.imul(h ^ requestId.charCodeAt(i), 0x01000193);
  for (let i = Math.max(0, path.length - 16); i < path.length; i++) {
    h = Math.imul(h ^ path.charCodeAt(i), 0x01000193);
  }
  return h ^ (h >>> 15);
}
