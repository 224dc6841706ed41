// Values of OAuth's own words: endpoints, scope tokens, resource indicators, parameters.

import { isLoopback } from '../lib/address.ts';
import { refuse } from './invalid.ts';

/**
 * Address of a provider: https, or http to loopback, which only development mode allows (see checks.ts).
 * Throws Invalid; does not quote, since an address may hold a password.
 */
export function parseProviderUrl(text: string, kind: 'issuer' | 'token_endpoint' | 'url'): string {
  if (!URL.canParse(text)) {
    refuse(`expected an address such as https://idp.example.com${kind === 'issuer' ? '' : '/token'}`);
  }
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') {
    refuse(
      `no user or password in an address: use ${kind === 'url' ? 'secrets and headers' : 'client_id and client_secret'}`,
    );
  }
  if (!['https:', 'http:'].includes(url.protocol)) refuse(`expected https://, got ${url.protocol}//`);
  if (url.protocol === 'http:' && !isLoopback(url.hostname.replace(/^\[|\]$/g, ''))) {
    refuse('expected https://: a secret never goes over plain http');
  }
  if (text.includes('#')) refuse('no fragment ("#") in an address');
  // RFC 8414 section 2.
  if (kind === 'issuer' && text.includes('?')) refuse('no query ("?") in an issuer');
  if (kind === 'issuer' && text.includes('/.well-known/')) {
    refuse(
      'expected the issuer alone, without "/.well-known/" and what follows it: its metadata are found by it',
    );
  }
  return text;
}

/** RFC 6749 section 3.3. Throws Invalid. */
export function parseScope(words: string | readonly string[]): readonly string[] {
  const list = typeof words === 'string' ? words.split(' ').filter((word) => word !== '') : words;
  if (list.some((word) => word.endsWith(','))) {
    refuse(
      'scopes are separated by spaces and not by commas, or are a list such as [orders.read, orders.write]',
    );
  }
  const bad = list.find((word) => !/^[\x21\x23-\x5b\x5d-\x7e]+$/.test(word));
  if (bad !== undefined) {
    refuse(
      bad.includes(' ')
        ? `one scope an entry: "${bad}" holds a space`
        : `"${bad}" is no scope: visible ASCII characters without quotes and backslashes`,
    );
  }
  return [...new Set(list)];
}

/** RFC 8707 section 2. Throws Invalid. */
export function parseResource(text: string): string {
  if (!URL.canParse(text) || text.includes('#')) {
    refuse(`expected an absolute URI without a fragment, e.g. https://api.example.com, got "${text}"`);
  }
  return text;
}

const OWN_KEY = new Set(['audience', 'client_id', 'client_secret', 'resource', 'scope']);
const OURS = new Set(['client_assertion', 'client_assertion_type', 'grant_type']);

/** Throws Invalid. */
export function parseExtraParamName(name: string): string {
  if (OWN_KEY.has(name)) refuse(`${name} has a setting of its own beside extra_params`);
  if (OURS.has(name)) refuse(`${name} is set by the way the token is obtained and cannot be overridden`);
  if (!/^[\x21-\x7e]+$/.test(name)) refuse('the name of a parameter has visible ASCII characters only');
  return name;
}

/** RFC 6901. Throws Invalid. */
export function parseJsonPointer(text: string): string {
  if (!/^(\/([^~]|~[01])*)?$/.test(text)) {
    refuse(`expected a JSON pointer such as /access_token or /data/token, got "${text}"`);
  }
  return text;
}
