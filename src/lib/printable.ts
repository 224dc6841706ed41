// Texts of others on a terminal: they come from configurations, dumps, logs, tokens and the network.

/** U+FFFD for whatever moves a cursor, makes a line of its own or turns the direction of what is read. */
export function printable(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '\u{fffd}');
}

/**
 * A whole text on its way out: what a terminal would obey or turn around stands there as JSON and YAML escape it, so that a
 * document stays the same document. Line ends and tabs stay.
 */
export function escaped(text: string): string {
  return text.replace(/(?!\r\n|[\n\t])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (found) =>
    // By code units: JSON has no other way for what lies beyond 16 bits.
    found
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  );
}
