// A value that must never be printed. Any accidental way into text gives [redacted]; reveal() is the one deliberate way out.
import { inspect } from 'node:util';

const REDACTED = '[redacted]';

export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The bare value. Call it only where the value goes onto the wire or into an encoded answer. */
  reveal(): string {
    return this.#value;
  }

  /** UTF-16 length of the value, for limits by size. */
  get length(): number {
    return this.#value.length;
  }

  toString(): string {
    return REDACTED;
  }

  toJSON(): string {
    return REDACTED;
  }

  [inspect.custom](): string {
    return REDACTED;
  }
}
