// JSON of another process on this machine, by HTTP. Bounded in time and size, since anybody may listen there.
import { type RequestOptions, request } from 'node:http';

export interface AnswerBounds {
  /** Until the whole answer is there. */
  readonly timeoutMs: number;
  readonly maxBytes: number;
}

/** `question` is the body, as JSON. Rejects with an Error for people; `code` is that of the socket, where it failed. */
export function askJson(
  where: RequestOptions,
  { timeoutMs, maxBytes }: AnswerBounds,
  question?: object,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const fail = (error: Error) =>
      reject(signal.aborted ? new Error(`no answer within ${timeoutMs} ms`) : error);
    const outgoing = request({ ...where, agent: false, signal }, (answer) => {
      const chunks: Buffer[] = [];
      let size = 0;
      answer.on('data', (chunk: Buffer) => {
        size += chunk.length;
        chunks.push(chunk);
        if (size > maxBytes) answer.destroy(new Error(`an answer of more than ${maxBytes} bytes`));
      });
      // Also of one that ends in the middle.
      answer.on('error', fail);
      answer.on('end', () => {
        try {
          resolve(JSON.parse(Buffer.concat(chunks).toString('utf8')));
        } catch {
          reject(new Error(`an answer that is no JSON (status ${answer.statusCode})`));
        }
      });
    });
    outgoing.on('error', fail);
    outgoing.end(question && JSON.stringify(question));
  });
}
