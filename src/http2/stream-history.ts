// What must be remembered of streams that are closed: which were reset, for their last frames may still be on the way,
// and which were never used. All others ended in the usual way. RFC 9113, sections 5.1 and 5.1.1.

export type ResetBy = 'us' | 'peer';

const MAX_RESETS = 1_024;
const MAX_GAPS = 16;

export class StreamHistory {
  readonly #resets = new Map<number, ResetBy>();
  /** [first, last] of identifiers that were passed over; nobody but a test does that. */
  readonly #gaps: (readonly [number, number])[] = [];

  opened(id: number, before: number): void {
    const expected = before === 0 ? 1 : before + 2;
    if (id === expected) return;
    this.#gaps.push([expected, id - 2]);
    if (this.#gaps.length > MAX_GAPS) this.#gaps.shift();
  }

  /** Frames that were on their way when we reset a stream are no fault; after a reset of its own the peer sends none. */
  reset(id: number, by: ResetBy): void {
    this.#resets.set(id, by);
    if (this.#resets.size > MAX_RESETS) this.#resets.delete(this.#resets.keys().next().value!);
  }

  resetBy(id: number): ResetBy | undefined {
    return this.#resets.get(id);
  }

  wasSkipped(id: number): boolean {
    return this.#gaps.some(([first, last]) => id >= first && id <= last);
  }
}
