// A question to the running bearerd of a configuration, by its admin socket.
import { askJson } from '../lib/ask-json.ts';

/** Of 10,000 policies the status has some megabytes. */
const BOUNDS = { timeoutMs: 10_000, maxBytes: 256 << 20 };

export interface AdminAnswer {
  readonly error?: string;
}

export const NO_ADMIN = 'the configuration has no listen.admin, where a running bearerd is asked\n';

/** What to say when the socket gave no answer. */
export function unanswered(path: string, error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return `${path} cannot be asked: ${code ?? message}${REASONS[code ?? ''] ?? ''}\n`;
}

const NOBODY = ' (is a bearerd running, with this configuration?)';
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: NOBODY,
  ECONNREFUSED: NOBODY,
  EACCES: ' (this user may not open it: mode and group of listen.admin)',
};

/** `question`: by POST; without one it is asked by GET. Rejects with an Error for people (unanswered()). */
export async function askAdmin<T extends object>(
  socketPath: string,
  path: string,
  question?: object,
): Promise<T> {
  const where =
    question === undefined ? {} : { method: 'POST', headers: { 'content-type': 'application/json' } };
  return (await askJson({ socketPath, path, ...where }, BOUNDS, question)) as T;
}
