// A question to the running bearerd of a configuration, by its admin socket.
import { request } from 'node:http';
import { json } from 'node:stream/consumers';

export interface AdminAnswer {
  readonly error?: string;
}

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
