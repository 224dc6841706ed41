// A provider behind TLS by a private authority and an HTTPS proxy: a real OpenID provider, found by discovery, and a real
// CONNECT proxy.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Authority, createAuthority } from '../../../demo/certificates.ts';
import { issued, issueFailure, issueRequest } from '../../support/issue.ts';
import { type OpenIdProvider, startOpenIdProvider } from '../../support/openid-provider.ts';
import { sourceOf } from '../../support/token-source.ts';

const folder = mkdtempSync(join(tmpdir(), 'bearerd-proxy-'));
let authority: Authority;
let provider: OpenIdProvider;

interface Proxy {
  readonly url: string;
  /** Hosts that a tunnel was asked for. */
  readonly asked: string[];
  stop(): Promise<void>;
}

/** `answer` undefined: it never answers. */
async function startProxy(answer: 'tunnel' | 'refuse' | undefined): Promise<Proxy> {
  const asked: string[] = [];
  const open = new Set<Socket>();
  const server: Server = createServer();
  server.on('connection', (socket) => {
    open.add(socket);
    socket.on('error', () => {}).on('close', () => open.delete(socket));
  });
  server.on('connect', (request, socket) => {
    asked.push(request.url!);
    socket.on('error', () => {});
    if (answer === 'refuse') socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
    if (answer !== 'tunnel') return;
    const [host, port] = request.url!.split(':');
    const upstream = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      upstream.pipe(socket).pipe(upstream);
    });
    open.add(upstream);
    upstream.on('error', () => socket.destroy()).on('close', () => open.delete(upstream));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
    asked,
    stop() {
      for (const socket of open) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

before(async () => {
  authority = await createAuthority(folder);
  provider = await startOpenIdProvider({
    authority,
    clients: [
      { client_id: 'checkout', client_secret: 'a-secret', token_endpoint_auth_method: 'client_secret_basic' },
    ],
  });
});
after(async () => {
  await provider.stop();
  rmSync(folder, { recursive: true, force: true });
});

const words = (patch: object = { ca_file: authority.ca }) => ({
  client_credentials: {
    issuer: provider.issuer,
    client_id: 'checkout',
    client_secret: { inline: 'a-secret' },
    ...patch,
  },
});

describe('a provider with a certificate by a private authority', () => {
  test('is found by discovery and asked when the authority is configured', async () => {
    const { value } = await issued(await sourceOf(words()));
    assert.ok(value.reveal().length > 10);
  });

  test('is refused when it is not, whatever the environment says of certificates', async () => {
    const source = await sourceOf(words({}), { env: { NODE_TLS_REJECT_UNAUTHORIZED: '0' } });
    const error = await issueFailure(source);
    assert.equal(error.code, 'source_unavailable', error.message);
  });
});

describe('HTTPS_PROXY', () => {
  test('carries every call to the provider through a tunnel', async (t) => {
    const proxy = await startProxy('tunnel');
    t.after(() => proxy.stop());
    const calls = provider.tokenCalls;
    await issued(await sourceOf(words(), { env: { HTTPS_PROXY: proxy.url } }));
    assert.equal(provider.tokenCalls, calls + 1);
    const { host } = new URL(provider.issuer);
    assert.ok(proxy.asked.length > 0);
    assert.deepEqual(new Set(proxy.asked), new Set([host]));
  });

  test('is an http proxy without a scheme, and named where it is none', async (t) => {
    const proxy = await startProxy('tunnel');
    t.after(() => proxy.stop());
    await issued(await sourceOf(words(), { env: { HTTPS_PROXY: new URL(proxy.url).host } }));
    assert.ok(proxy.asked.length > 0);
    const calls = provider.tokenCalls;
    for (const HTTPS_PROXY of ['socks5://user:canary@127.0.0.1:1080', 'user:canary@:::']) {
      const error = await issueFailure(await sourceOf(words(), { env: { HTTPS_PROXY } }));
      assert.equal(
        error.message,
        'HTTPS_PROXY is no address of an HTTP proxy, such as http://proxy.example.com:3128',
      );
    }
    assert.equal(provider.tokenCalls, calls, 'nothing goes around it');
  });

  test('is passed by for the hosts of NO_PROXY', async (t) => {
    const proxy = await startProxy('tunnel');
    t.after(() => proxy.stop());
    const env = { HTTPS_PROXY: proxy.url, NO_PROXY: new URL(provider.issuer).hostname };
    await issued(await sourceOf(words(), { env }));
    assert.deepEqual(proxy.asked, []);
  });

  test('that refuses the tunnel is source_unavailable, and nothing goes around it', async (t) => {
    const proxy = await startProxy('refuse');
    t.after(() => proxy.stop());
    const calls = provider.tokenCalls;
    const error = await issueFailure(await sourceOf(words(), { env: { HTTPS_PROXY: proxy.url } }));
    assert.equal(error.code, 'source_unavailable', error.message);
    assert.equal(provider.tokenCalls, calls);
  });

  test('that never answers is source_timeout after the time of a connection, and the source can be closed', async (t) => {
    const proxy = await startProxy(undefined);
    t.after(() => proxy.stop());
    const source = await sourceOf(words(), { env: { HTTPS_PROXY: proxy.url } });
    const begun = performance.now();
    await assert.rejects(source.issue(issueRequest({ signal: AbortSignal.timeout(300) })), {
      code: 'source_timeout',
    });
    await source.close?.();
    const took = performance.now() - begun;
    t.diagnostic(`ended after ${took.toFixed(0)} ms`);
    assert.ok(took < 6_000, `${took} ms`);
  });
});
