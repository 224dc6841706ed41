// Texts of others on a terminal: they come from configurations, dumps, logs, tokens and the network.

/** U+FFFD for whatever moves a cursor, makes a line of its own or turns the direction of what is read. */
export function printable(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '\u{fffd}');
}
