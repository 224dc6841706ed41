// A token endpoint on plain loopback HTTP that can be told to fail and be stopped: for tests of what is seen meanwhile.
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { TestContext } from 'node:test';
import { endServer } from './loopback.ts';
import { freePort } from './ports.ts';

export interface TokenEndpoint {
  readonly url: string;
  /** Headers of each call. */
  readonly asked: readonly IncomingHttpHeaders[];
  /** Default 200. */
  status: number;
  /** Connections are refused until start(). */
  stop(): Promise<void>;
  start(): Promise<void>;
}

export async function startTokenEndpoint(t: TestContext, lifetimeSeconds = 600): Promise<TokenEndpoint> {
  const asked: IncomingHttpHeaders[] = [];
  // It is to be had again after stop().
  const port = await freePort();
  const server = createServer((request, response) => {
    request.resume();
    asked.push(request.headers);
    response.writeHead(endpoint.status, { 'content-type': 'application/json' });
    response.end(
      JSON.stringify({
        access_token: `t${asked.length}`,
        token_type: 'Bearer',
        issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        expires_in: lifetimeSeconds,
      }),
    );
  });
  const endpoint: TokenEndpoint = {
    url: `http://127.0.0.1:${port}/token`,
    asked,
    status: 200,
    async start() {
      await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    },
    async stop() {
      if (!server.listening) return;
      await endServer(server);
    },
  };
  await endpoint.start();
  t.after(() => endpoint.stop());
  return endpoint;
}
