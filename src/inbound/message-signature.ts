// Signatures of whole requests (RFC 9421), verified. Of structured fields only what a signature needs is read, and strictly:
// one signature, components without parameters, strings and integers as parameters.

import { constants, type KeyObject, verify } from 'node:crypto';
import type { SignatureConfig } from '../config/inbound/config.ts';
import { derivedComponent } from '../lib/derived-component.ts';
import type { VerificationKey } from './key-set.ts';
import type { ReplayMemory } from './replay.ts';

export interface ReceivedRequest {
  readonly signatureInput: string | undefined;
  readonly signature: string | undefined;
  readonly method: string;
  /** Scheme and authority, lower case, no default port. */
  readonly origin: string;
  /** With its query. */
  readonly path: string;
  header(name: string): string | undefined;
  /** Epoch milliseconds. */
  readonly now: number;
}

const LEEWAY_MS = 5_000;

/** Whether one of the keys signed what the policy demands, in time, and with a nonce that is new. */
export async function isSignedRequest(
  policy: SignatureConfig,
  request: ReceivedRequest,
  keyOf: (kid: string) => readonly VerificationKey[],
  replay: ReplayMemory,
): Promise<boolean> {
  const input = parseSignatureInput(request.signatureInput);
  const signature = input && parseSignature(request.signature, input.label);
  if (input === undefined || signature === undefined) return false;
  const { created, expires, keyid, nonce, alg } = input.parameters;
  if (policy.components.some((name) => !input.components.includes(name))) return false;
  if (typeof created !== 'number' || typeof keyid !== 'string') return false;
  const ageMs = request.now - created * 1_000;
  if (ageMs > policy.maxAgeMs || ageMs < -LEEWAY_MS) return false;
  if (expires !== undefined && (typeof expires !== 'number' || request.now >= expires * 1_000)) return false;
  if (policy.nonce && (typeof nonce !== 'string' || nonce.length < 8 || nonce.length > 256)) return false;
  const base = signatureBase(input, request);
  if (base === undefined) return false;
  const key = keyOf(keyid).find(
    (candidate) => candidate.kid === keyid && isRight(candidate, alg, base, signature),
  );
  if (key === undefined) return false;
  // After the signature: nobody else can use up a nonce.
  if (!policy.nonce) return true;
  const what = `signature ${keyid} ${nonce}`;
  const [sender, forMs] = [`key ${keyid}`, policy.maxAgeMs + LEEWAY_MS];
  return await replay.first({ sender, what, madeAt: created * 1_000, forMs });
}

interface SignatureInput {
  readonly label: string;
  readonly components: readonly string[];
  readonly parameters: Readonly<Record<string, string | number | undefined>>;
  /** The inner list and its parameters, byte for byte: the last line of the base. */
  readonly text: string;
}

const INPUT =
  /^([a-z*][a-z0-9_.*-]*)=(\(((?:"[!#-[\]-~]*"(?: (?="))?)*)\)((?:;[a-z*][a-z0-9_.*-]*=(?:\d{1,15}|"(?:[ !#-[\]-~]|\\["\\])*"))*))$/;

/** undefined for what has several signatures or anything that is not understood. */
export function parseSignatureInput(text: string | undefined): SignatureInput | undefined {
  const match = text === undefined || text.length > 4_096 ? null : INPUT.exec(text.trim());
  if (match === null) return undefined;
  const [, label, all, list, tail] = match as unknown as [string, string, string, string, string];
  const components = [...list.matchAll(/"([^"]*)"/g)].map(([, name]) => name!);
  // Section 2: a component that stands there twice makes the base ambiguous.
  if (new Set(components).size !== components.length) return undefined;
  const parameters: Record<string, string | number> = {};
  for (const [, name, value] of tail.matchAll(/;([a-z*][a-z0-9_.*-]*)=("(?:[^"\\]|\\.)*"|\d+)/g)) {
    if (Object.hasOwn(parameters, name!)) return undefined;
    parameters[name!] = value!.startsWith('"') ? value!.slice(1, -1).replace(/\\(.)/g, '$1') : Number(value);
  }
  return { label, components, parameters, text: all };
}

function parseSignature(text: string | undefined, label: string): Buffer | undefined {
  const match = /^([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/]+={0,2}):$/.exec(text?.trim() ?? '');
  return match?.[1] === label ? Buffer.from(match[2]!, 'base64') : undefined;
}

/** Section 2.5; undefined where a covered component is not there. */
function signatureBase({ components, text }: SignatureInput, request: ReceivedRequest): Buffer | undefined {
  let base = '';
  for (const name of components) {
    const value = name.startsWith('@') ? derivedComponent(name, request) : request.header(name)?.trim();
    if (value === undefined) return undefined;
    base += `"${name}": ${value}\n`;
  }
  // Bytes as characters: that is how headers are read here.
  return Buffer.from(`${base}"@signature-params": ${text}`, 'latin1');
}

/** Section 3.3. The kind of the key decides; an alg that says otherwise makes it wrong. */
function isRight({ kind, key }: VerificationKey, alg: unknown, base: Buffer, signature: Buffer): boolean {
  const known = ALGORITHMS[kind];
  if (known === undefined) return false;
  const name = alg === undefined ? known.usual : alg;
  const verifier =
    typeof name === 'string' && Object.hasOwn(known.verify, name) ? known.verify[name] : undefined;
  return verifier?.(base, key, signature) ?? false;
}

type Verify = (base: Buffer, key: KeyObject, signature: Buffer) => boolean;

const ecdsa =
  (digest: string): Verify =>
  (base, key, signature) =>
    verify(digest, base, { key, dsaEncoding: 'ieee-p1363' }, signature);

const ALGORITHMS: Readonly<Record<string, { usual: string; verify: Readonly<Record<string, Verify>> }>> = {
  RSA: {
    usual: 'rsa-pss-sha512',
    verify: {
      'rsa-pss-sha512': (base, key, signature) =>
        verify('sha512', base, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 64 }, signature),
      'rsa-v1_5-sha256': (base, key, signature) => verify('sha256', base, key, signature),
    },
  },
  'P-256': { usual: 'ecdsa-p256-sha256', verify: { 'ecdsa-p256-sha256': ecdsa('sha256') } },
  'P-384': { usual: 'ecdsa-p384-sha384', verify: { 'ecdsa-p384-sha384': ecdsa('sha384') } },
  Ed25519: {
    usual: 'ed25519',
    verify: { ed25519: (base, key, signature) => verify(null, base, key, signature) },
  },
};
