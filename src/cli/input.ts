// Files that a command line names, and standard input where it says "-": bounded, and told in words when they cannot be read.
import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { fileFault } from '../lib/file-fault.ts';
import { InputError } from './command.ts';

/** Of a mesh with thousands of services a dump has some tens of megabytes. */
export const MAX_DUMP_BYTES = 256 << 20;
/** Of one line. Envoy's headers have 60 KiB, an audit record less. */
const MAX_LINE = 1 << 20;

/** The whole text, without a byte order mark. Throws InputError. */
export async function readInput(file: string, maxBytes = MAX_DUMP_BYTES): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of chunksOf(file)) {
    size += chunk.length;
    if (size > maxBytes) throw new InputError(`${file} is larger than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  // It takes a byte order mark away, which editors and PowerShell write and JSON does not know.
  return new TextDecoder().decode(Buffer.concat(chunks));
}

/**
 * Line by line, as little of it in memory as there can be. Ended by LF or CRLF alone: to readline U+2028 inside of a JSON text would be the end of a line.
 * Throws InputError, also for a line of more than a million characters, with its number.
 */
export async function* inputLines(file: string): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  let count = 0;
  const bounded = (line: string): string => {
    if (line.length <= MAX_LINE) return line;
    throw new InputError(
      `${file}:${count + 1}: a line of more than ${MAX_LINE} characters: expected one JSON object a line`,
    );
  };
  for await (const chunk of chunksOf(file)) {
    const [first, ...others] = decoder.decode(chunk, { stream: true }).split('\n');
    // Joined once a line: a line may go over many chunks.
    rest = bounded(rest + first);
    for (const next of others) {
      count++;
      yield rest.replace(/\r$/, '');
      rest = bounded(next);
    }
  }
  rest = bounded(rest + decoder.decode());
  if (rest !== '') yield rest.replace(/\r$/, '');
}

async function* chunksOf(file: string): AsyncGenerator<Buffer> {
  const stream: Readable = file === '-' ? process.stdin : createReadStream(file);
  try {
    for await (const chunk of stream) yield chunk as Buffer;
  } catch (error) {
    throw new InputError(`${file} cannot be read: ${fileFault(error)}`);
  }
}
