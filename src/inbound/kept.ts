// State of a configuration that the next one goes on with where it asks for the same: counts of limits, lists.

export class Kept {
  #before = new Map<string, unknown>();
  #now = new Map<string, unknown>();

  /** Another configuration begins: what it does not ask for goes with the one after it. */
  begin(): void {
    this.#before = this.#now;
    this.#now = new Map();
  }

  /** `key` says all that the state depends on. */
  of<T>(key: string, create: () => T): T {
    const value = (this.#now.get(key) ?? this.#before.get(key) ?? create()) as T;
    this.#now.set(key, value);
    return value;
  }
}
