// Lines of a file that may be large.
import { createReadStream } from 'node:fs';

/** Ended by LF alone: to readline U+2028 inside of a JSON text would be the end of a line. Rejects with the fault of the file. */
export async function* textLines(file: string): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of createReadStream(file, 'utf8')) {
    const [first, ...others] = (chunk as string).split('\n');
    // Joined once a line: a line may go over many chunks.
    rest += first;
    for (const next of others) {
      yield rest;
      rest = next;
    }
  }
  if (rest !== '') yield rest;
}
