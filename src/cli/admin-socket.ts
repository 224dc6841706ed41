// A question to the running bearerd of a configuration, by its admin socket.
import { request } from 'node:http';
import { json } from 'node:stream/consumers';

export interface AdminAnswer {
  readonly error?: string;
}

/** What to say when the socket gave no answer. */
export function unanswered(path: string, error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code ?? 'no answer';
  return `${path} cannot be asked: ${code}${REASONS[code] ?? ''}\n`;
}

const NOBODY = ' (is a bearerd running, with this configuration?)';
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: NOBODY,
  ECONNREFUSED: NOBODY,
  EACCES: ' (this user may not open it: mode and group of listen.admin)',
};

/** Rejects with the error of the socket. */
export function askAdmin<T extends AdminAnswer>(
  socketPath: string,
  path: string,
  question: object,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { socketPath, path, method: 'POST', headers: { 'content-type': 'application/json' } },
      (incoming) => json(incoming).then((value) => resolve(value as T), reject),
    );
    outgoing.setTimeout(10_000, () => outgoing.destroy());
    outgoing.on('error', reject);
    outgoing.end(JSON.stringify(question));
  });
}
