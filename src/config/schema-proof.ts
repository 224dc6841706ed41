// The schema of proofs that are made anew for each attempt: how the upstream knows itself, and what is signed.
import * as z from 'zod';
import { parseHeaderName } from './header.ts';
import { refuse } from './invalid.ts';
import { duration, parsed } from './schema-values.ts';
import { resolveSecretRef, type SecretRef, secretRef } from './source/secret-ref.ts';

/** What is proved to the upstream anew with each attempt: at least one of dpop and sign. */
export interface ProofConfig {
  /** Scheme and authority as the upstream knows itself, e.g. `https://api.example.com`. */
  readonly upstreamUrl: string;
  /** The source's tokens are bound to a key (RFC 9449). */
  readonly dpop: boolean;
  readonly sign: MessageSignatureConfig | undefined;
}

/** HTTP Message Signatures, RFC 9421. */
export interface MessageSignatureConfig {
  /** A private key (PEM or JWK), or the shared secret of hmac-sha256. */
  readonly key: SecretRef;
  readonly keyId: string;
  readonly algorithm: 'ed25519' | 'ecdsa-p256-sha256' | 'hmac-sha256';
  readonly components: readonly string[];
  readonly label: string;
  readonly expiresAfterMs: number | undefined;
  readonly tag: string | undefined;
}

const DERIVED = ['@method', '@target-uri', '@authority', '@scheme', '@path', '@query'];

/** Scheme and authority, without a default port. Throws Invalid. */
function parseUpstreamUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    return refuse(`expected https://HOST or http://HOST, got "${text}"`);
  }
  if (url.username !== '' || url.password !== '') return refuse('user information has no place here');
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    return refuse('expected scheme and host only: the path is that of each request');
  }
  return url.origin;
}

export const upstreamUrl = parsed(z.string(), parseUpstreamUrl)
  .optional()
  .describe(
    'Scheme and host as the upstream knows itself, e.g. https://api.example.com: signed by DPoP proofs (htu) and by sign. Attempt door only.',
  );

function parseComponent(text: string): string {
  if (!text.startsWith('@')) return parseHeaderName(text);
  return DERIVED.includes(text)
    ? text
    : refuse(`expected a header or one of ${DERIVED.join(', ')}, got "${text}"`);
}

const printable = z
  .string()
  .regex(/^[\x20-\x7e]{1,256}$/, { error: 'expected 1 to 256 visible ASCII characters' });

export const sign = z
  .strictObject({
    key: secretRef.describe(
      'Private key as PEM or JWK, or the shared secret of hmac-sha256. A changed file is read within two seconds.',
    ),
    key_id: printable.describe('Parameter keyid.'),
    algorithm: z.enum(['ed25519', 'ecdsa-p256-sha256', 'hmac-sha256']),
    components: z
      .array(parsed(z.string(), parseComponent))
      .min(1)
      .transform((names) => [...new Set(names)])
      .optional()
      .describe(
        'What is signed: @method, @target-uri, @authority, @scheme, @path, @query and names of headers; one that a request lacks is left out. Default @method, @target-uri, @authority, the injected header and content-digest.',
      ),
    label: z
      .string()
      .regex(/^[a-z*][a-z0-9_.*-]{0,63}$/, {
        error: 'expected lower-case letters, digits, "_", "-", "." and "*"',
      })
      .default('sig1')
      .describe('Name of the signature. Default sig1.'),
    expires_after: duration({ minMs: 1_000, maxMs: 3_600_000 })
      .optional()
      .describe('Parameter expires, from 1s to 1h after created. Default: none.'),
    tag: printable.optional().describe('Parameter tag. Default: none.'),
  })
  .optional()
  .describe('HTTP Message Signature (RFC 9421), made anew for each attempt. Attempt door only.');

/** Tokens of the source are worth nothing without a proof for each request. */
export function isBoundByDpop(source: object): boolean {
  return 'dpop' in source && source.dpop === true;
}

export function toMessageSignature(
  file: NonNullable<z.output<typeof sign>>,
  injectedHeader: string | undefined,
  path: (relative: string) => string,
): MessageSignatureConfig {
  return {
    key: resolveSecretRef(file.key, path),
    keyId: file.key_id,
    algorithm: file.algorithm,
    components: file.components ?? [
      '@method',
      '@target-uri',
      '@authority',
      ...(injectedHeader === undefined ? [] : [injectedHeader]),
      'content-digest',
    ],
    label: file.label,
    expiresAfterMs: file.expires_after,
    tag: file.tag,
  };
}
