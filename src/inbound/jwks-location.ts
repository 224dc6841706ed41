// Where an issuer's JWK Set is read: from its metadata (OpenID Connect Discovery 1.0, RFC 8414), an address, or a file.
import { readFile } from 'node:fs/promises';
import type { JwtIssuerConfig } from '../config/inbound/config.ts';
import { fileFault } from '../lib/file-fault.ts';
import type { ProviderHttp } from '../provider-http/http.ts';

const MAX_FILE_BYTES = 1 << 20;

type Load = (signal: AbortSignal) => Promise<unknown>;

/** Rejects with a message for our own log. */
export function createLoader(config: JwtIssuerConfig, http: ProviderHttp): Load {
  const { keys } = config;
  switch (keys.from) {
    case 'file':
      return () => readJson(keys.path);
    case 'url':
      return (signal) => getJson(http, keys.url, signal);
    case 'shared_secret':
      throw new Error('a shared secret is no JWK Set');
    case 'discovery':
      return async (signal) => getJson(http, await discover(config.issuer, http, signal), signal);
  }
}

/** jwks_uri. */
async function discover(issuer: string, http: ProviderHttp, signal: AbortSignal): Promise<string> {
  const { origin, pathname } = new URL(issuer);
  const path = pathname.replace(/\/$/, '');
  const oidc = `${origin}${path}/.well-known/openid-configuration`;
  // RFC 8414 section 3.1 puts the word before the path; not every OAuth server is an OpenID provider.
  const oauth = `${origin}/.well-known/oauth-authorization-server${path}`;
  const metadata = ((await getJson(http, oidc, signal, true)) ?? (await getJson(http, oauth, signal))) as {
    issuer?: unknown;
    jwks_uri?: unknown;
  } | null;
  if (metadata?.issuer !== issuer) {
    throw new Error(
      'the metadata name another issuer: ours is to be theirs byte for byte, also a slash at its end',
    );
  }
  const uri = metadata.jwks_uri;
  if (typeof uri !== 'string' || !URL.canParse(uri)) throw new Error('the metadata names no jwks_uri');
  // Plain http only where the configuration allowed it for the issuer itself: loopback in development.
  const { protocol, hostname } = new URL(uri);
  const allowed =
    protocol === 'https:' || (origin.startsWith('http:') && hostname === new URL(issuer).hostname);
  if (!allowed) throw new Error('the metadata names a jwks_uri without https');
  return uri;
}

/** undefined for a 404 where `optional`. */
async function getJson(
  http: ProviderHttp,
  url: string,
  signal: AbortSignal,
  optional = false,
): Promise<unknown> {
  const answer = await http.fetch(url, { method: 'GET', headers: { accept: 'application/json' }, signal });
  if (optional && answer.status === 404) return undefined;
  if (answer.status !== 200) throw new Error(`the issuer answered ${answer.status}`);
  return parseJson(await answer.text(), 'the answer');
}

async function readJson(path: string): Promise<unknown> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new Error(`${path} cannot be read: ${fileFault(error)}`);
  });
  if (text.length > MAX_FILE_BYTES) throw new Error(`${path} is larger than ${MAX_FILE_BYTES} bytes`);
  return parseJson(text, path);
}

function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`${what} is no JSON`);
  }
}
