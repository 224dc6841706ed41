// HTTP Message Signatures (RFC 9421) over what is known of a request before its body: derived components and headers.
// Pure. A body is never seen: content-digest is covered where the app sent it.

import type { KeyObject } from 'node:crypto';
import { derivedComponent } from '../lib/derived-component.ts';
import { type SignatureKind, signBytes } from './sign.ts';

export interface SigningKey {
  readonly kind: SignatureKind;
  readonly key: KeyObject;
}

/** What does not change from request to request. */
export interface SignatureSettings {
  /** Names the signature among several, section 4.1. */
  readonly label: string;
  readonly keyId: string;
  /** `@method`, `@target-uri`, `@authority`, `@path`, `@query`, `@scheme`, or lower-case names of headers. */
  readonly components: readonly string[];
  /** Parameter expires, ms after created; undefined = it has none. */
  readonly expiresAfterMs: number | undefined;
  readonly tag: string | undefined;
}

export interface SignedRequest {
  readonly method: string;
  /** Scheme and authority as the upstream knows itself: `https://api.example.com`, no default port. */
  readonly origin: string;
  /** With its query. */
  readonly path: string;
  /** All values of a header joined by a comma and a space; undefined: the request has none. */
  header(name: string): string | undefined;
  /** Epoch ms. */
  readonly now: number;
  /** Never used before. */
  readonly nonce: string;
}

export interface MessageSignature {
  readonly signatureInput: string;
  readonly signature: string;
}

/** Headers that the request does not have are left out (section 2.5 forbids covering them). */
export function signMessage(
  { kind, key }: SigningKey,
  settings: SignatureSettings,
  request: SignedRequest,
): MessageSignature {
  const covered: string[] = [];
  let base = '';
  for (const name of settings.components) {
    const value = name.startsWith('@') ? derivedComponent(name, request) : request.header(name)?.trim();
    if (value === undefined) continue;
    covered.push(`"${name}"`);
    base += `"${name}": ${value}\n`;
  }
  const parameters = `(${covered.join(' ')})${parametersOf(kind, settings, request)}`;
  base += `"@signature-params": ${parameters}`;
  // Bytes as characters: that is how headers are read here.
  const signature = signBytes(kind, key, Buffer.from(base, 'latin1'));
  return {
    signatureInput: `${settings.label}=${parameters}`,
    signature: `${settings.label}=:${signature.toString('base64')}:`,
  };
}

function parametersOf(
  kind: SignatureKind,
  { keyId, expiresAfterMs, tag }: SignatureSettings,
  { now, nonce }: SignedRequest,
): string {
  const created = Math.floor(now / 1000);
  const expires =
    expiresAfterMs === undefined ? '' : `;expires=${created + Math.ceil(expiresAfterMs / 1000)}`;
  const tagged = tag === undefined ? '' : `;tag=${quoted(tag)}`;
  return `;created=${created}${expires};nonce=${quoted(nonce)};keyid=${quoted(keyId)};alg="${kind}"${tagged}`;
}

/** A string of structured fields, RFC 8941 section 3.3.3. */
function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}
