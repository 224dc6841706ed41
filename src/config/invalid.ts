// One value of the file that cannot be read. The message says what was expected; the caller adds the place.

export class Invalid extends Error {
  override readonly name = 'Invalid';
}

/** Ends the reading of one value. `message` quotes the value only where it cannot be a secret. */
export function refuse(message: string): never {
  throw new Invalid(message);
}
