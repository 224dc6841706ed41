// The loopback redirect of a login (RFC 8252 section 7.3): one answer with our `state`. Any page of the browser can call
// this port too, so whatever else comes is refused and ends nothing.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CredentialError } from '../../lib/errors.ts';

export interface RedirectOptions {
  /** 0 = any free one. */
  readonly port: number;
  readonly state: string;
  readonly signal: AbortSignal;
  /** Called when it listens: now the browser may go. */
  listening(redirectUri: string): void;
}

export interface Redirect {
  readonly redirectUri: string;
  readonly parameters: URLSearchParams;
}

/** Rejects with CredentialError when `signal` aborts first or the port is taken. */
export function awaitRedirect({ port, state, signal, listening }: RedirectOptions): Promise<Redirect> {
  return new Promise((resolve, reject) => {
    const server = createServer((request, response) => {
      const parameters = redirectParameters(request, redirectUri, state);
      answer(response, parameters !== undefined);
      if (parameters === undefined) return;
      end();
      resolve({ redirectUri, parameters });
    });
    let redirectUri = '';
    const fail = (message: string) =>
      reject(new CredentialError('source_timeout', message, { retryable: false }));
    const end = () => {
      signal.removeEventListener('abort', aborted);
      server.close();
      // The answer itself goes out before its connection ends.
      server.closeIdleConnections();
    };
    const aborted = () => {
      end();
      fail('nobody came back from the provider in time');
    };
    server.once('error', (error: NodeJS.ErrnoException) => {
      signal.removeEventListener('abort', aborted);
      fail(`127.0.0.1:${port} cannot be had for the redirect: ${error.code ?? 'unknown fault'}`);
    });
    if (signal.aborted) return fail('ended before it began');
    signal.addEventListener('abort', aborted, { once: true });
    server.listen(port, '127.0.0.1', () => {
      redirectUri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/callback`;
      listening(redirectUri);
    });
  });
}

/** undefined = not the answer to our request. */
function redirectParameters(
  { method, url, headers }: IncomingMessage,
  redirectUri: string,
  state: string,
): URLSearchParams | undefined {
  const expected = new URL(redirectUri);
  // A name that an attacker's DNS points to loopback is another Host.
  if (method !== 'GET' || headers.host !== expected.host) return undefined;
  const [path, query = ''] = url!.split('?', 2) as [string, string?];
  const parameters = new URLSearchParams(query);
  const states = parameters.getAll('state');
  return path === expected.pathname && states.length === 1 && states[0] === state ? parameters : undefined;
}

function answer(response: ServerResponse, isOurs: boolean): void {
  const text = isOurs
    ? 'The login went back to bearerd: see there. This window can be closed.'
    : 'Not expected here.';
  response.writeHead(isOurs ? 200 : 400, {
    'content-type': 'text/plain; charset=utf-8',
    'cache-control': 'no-store',
    'referrer-policy': 'no-referrer',
    connection: 'close',
  });
  response.end(`${text}\n`);
}
