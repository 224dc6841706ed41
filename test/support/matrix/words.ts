// Each row in the words of the configuration.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Parts, pem } from './parts.ts';
import type { Provider } from './providers.ts';
import { nameOf, type Row } from './row.ts';

/** As the upstream of DPoP rows knows itself. */
export const UPSTREAM_URL = 'https://upstream.example.com';

export function configOf(folder: string, sources: Readonly<Record<string, object>>): object {
  return {
    version: 1,
    mode: 'development',
    listen: {
      check: `unix://${folder}/check.sock`,
      xds: `unix://${folder}/xds.sock`,
      health: '127.0.0.1:0',
    },
    sources,
    outbound: Object.keys(sources).map((name) => ({
      name,
      match: { hosts: [`${name}.example.com`] },
      inject: { source: name },
      ...(name.includes('dpop') ? { upstream_url: UPSTREAM_URL } : {}),
    })),
  };
}

/** What sources without a provider hand out. */
export const EXPECTED: Readonly<Record<string, string>> = {
  static: 'a-static-key',
  file: 'a-token-in-a-file',
  api_keys: 'the-first-key',
  exec: 'of-the-script',
  http: 'of-the-small-server',
};

export function plainWords({ source }: Row, { folder, write, workloadApi }: Parts, port: number): object {
  switch (source) {
    case 'static':
      return { value: { file: write('static', EXPECTED[source]!) } };
    case 'file':
      return { path: write('file', EXPECTED[source]!) };
    case 'api_keys': {
      const at = (ms: number) => new Date(Date.now() + ms).toISOString().replace(/\.\d+/, '');
      const life = { not_before: at(-60_000), expires_at: at(90 * 86_400_000) };
      const value = { file: write('api-key', EXPECTED[source]!) };
      const keys = [{ id: 'first', value, ...life, state: 'in_use' }];
      return { ring: write('ring.yaml', JSON.stringify({ keys })) };
    }
    case 'exec': {
      const status = JSON.stringify({ token: EXPECTED[source] });
      const script = `#!/bin/sh\nprintf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":${status}}'\n`;
      const path = write('script', script);
      chmodSync(path, 0o700);
      return { command: [path] };
    }
    case 'http':
      return { url: `http://127.0.0.1:${port}/token`, lifetime: '/expires_in' };
    case 'spiffe_jwt':
      return { socket: `unix://${workloadApi.socket}`, audience: ['orders'] };
    case 'signed_jwt': {
      const directory = join(folder, 'signing');
      mkdirSync(directory);
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      write('signing/first.pem', pem(privateKey));
      return {
        keys: { directory },
        issuer: 'https://checkout.example.com',
        subject: 'checkout',
        audience: 'a',
      };
    }
    default:
      throw new Error(`the matrix knows no source ${source}`);
  }
}

export async function oauthWords(
  { source, method, provider: name }: Row,
  provider: Provider,
  parts: Parts,
): Promise<object> {
  const row = nameOf({ source, method, provider: name });
  const client = {
    issuer: provider.issuer,
    ca_file: parts.authority.ca,
    client_id: provider.clients[method],
    // The method, then from where.
    client_auth: method.split(' ', 1)[0],
    ...(await parts.proof(method, name, row, provider.issuer)),
    ...(name === 'Keycloak' ? {} : { scope: ['orders.read'] }),
  };
  switch (source) {
    case 'jwt_bearer':
      return {
        ...client,
        assertion: {
          signed: {
            key: { file: parts.write('signer.pem', pem(parts.signer.privateKey)) },
            issuer: 'https://signer.example.com',
            subject: 'robot',
          },
        },
      };
    case 'refresh_token':
      return {
        ...client,
        store: {
          file: join(parts.folder, `${row}.login`),
          key: { inline: randomBytes(32).toString('base64') },
        },
      };
    default:
      return client;
  }
}
