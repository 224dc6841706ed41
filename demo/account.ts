// The story as text: steps with what happened, colour and a progress line on a terminal, plain lines in a pipe.

export interface Account {
  title(text: string): void;
  step(text: string): void;
  line(text: string): void;
  /** Replaces the last progress line on a terminal; nothing in a pipe. */
  progress(text: string): void;
  table(rows: readonly (readonly string[])[]): void;
}

export function createAccount(output: NodeJS.WriteStream): Account {
  const colour = (code: number, text: string) => (output.isTTY ? `\u001b[${code}m${text}\u001b[0m` : text);
  const write = (text: string) => void output.write(`${output.isTTY ? '\r\u001b[K' : ''}${text}\n`);
  return {
    title: (text) => write(`\n${colour(1, text)}`),
    step: (text) => write(`\n${colour(36, text)}`),
    line: (text) => write(`  ${text}`),
    progress: (text) => void (output.isTTY && output.write(`\r\u001b[K  ${colour(2, text)}`)),
    table(rows) {
      const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
      for (const [i, row] of rows.entries()) {
        const text = row.map((cell, column) =>
          column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
        );
        write(`  ${i === 0 ? colour(1, text.join('   ')) : text.join('   ')}`);
      }
    },
  };
}
