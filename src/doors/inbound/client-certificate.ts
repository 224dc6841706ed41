// The caller's certificate as Envoy tells of it: an attribute of the connection, or x-forwarded-client-cert as Envoy wrote
// it (SANITIZE_SET), which is one element. What has several was appended to, and a caller could have begun it.
import { hash } from 'node:crypto';

export interface ClientCertificate {
  readonly uris: readonly string[];
  /** base64url SHA-256 of the DER (RFC 8705 section 3.1); undefined = not told. */
  readonly thumbprint: string | undefined;
}

const NO_CERTIFICATE: ClientCertificate = { uris: [], thumbprint: undefined };

const MAX_KNOWN = 1_024;
const thumbprints = new Map<string, string | undefined>();

/** `pem`: URL-encoded, as in the attribute. */
export function fromPeer(principal: string, pem: string): ClientCertificate {
  if (principal === '' && pem === '') return NO_CERTIFICATE;
  return { uris: principal === '' ? [] : [principal], thumbprint: thumbprintOf(pem) };
}

export function fromForwarded(header: string | undefined): ClientCertificate {
  if (header === undefined) return NO_CERTIFICATE;
  const uris: string[] = [];
  let thumbprint: string | undefined;
  for (const [key, value] of onlyElement(header)) {
    if (key === 'uri') uris.push(value);
    else if (key === 'hash' && /^[0-9a-f]{64}$/i.test(value)) {
      thumbprint = Buffer.from(value, 'hex').toString('base64url');
    }
  }
  return { uris, thumbprint };
}

/** Many requests come by one connection: a certificate is hashed once. */
function thumbprintOf(pem: string): string | undefined {
  if (pem === '') return undefined;
  if (thumbprints.has(pem)) return thumbprints.get(pem);
  let found: string | undefined;
  try {
    const [, base64] = /-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----/.exec(
      decodeURIComponent(pem),
    )!;
    found = hash('sha256', Buffer.from(base64!, 'base64'), 'base64url');
  } catch {
    found = undefined;
  }
  if (thumbprints.size >= MAX_KNOWN) thumbprints.clear();
  thumbprints.set(pem, found);
  return found;
}

/** `By=…;Hash=…;URI="…"`; quotes hold semicolons and commas. Empty when there are several, or a quote is left open. */
function onlyElement(header: string): [key: string, value: string][] {
  const pairs: [string, string][] = [];
  let text = '';
  let quoted = false;
  const end = () => {
    const at = text.indexOf('=');
    if (at !== -1) pairs.push([text.slice(0, at).trim().toLowerCase(), text.slice(at + 1)]);
    text = '';
  };
  for (let i = 0; i < header.length; i++) {
    const c = header[i]!;
    if (quoted && c === '\\' && i + 1 < header.length) text += header[++i];
    else if (c === '"') quoted = !quoted;
    else if (!quoted && c === ';') end();
    else if (!quoted && c === ',') return [];
    else text += c;
  }
  end();
  return quoted ? [] : pairs;
}
