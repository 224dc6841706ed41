// A bundle of policies as a JWS (RFC 7515, compact): files of a configuration, for whom, which one of them it is, and until
// when it may be taken over. Asymmetric algorithms only, keys by a pinned set; nothing of it is read before its signature.
import { createPublicKey, hash } from 'node:crypto';
import { CompactSign, compactVerify, decodeProtectedHeader } from 'jose';
import { KeySet } from '../inbound/key-set.ts';
import type { PrivateKey } from '../lib/private-key.ts';
import { JsonFault, parseStrictJson } from '../lib/strict-json.ts';

/** Another JWS of the same key, an access token for instance, is no bundle (RFC 8725 section 3.11). */
const TYPE = 'bearerd-bundle+jws';
export const MAX_BUNDLE_BYTES = 1 << 20;
const MAX_FILES = 200;
/** How far its signer's clock may be ahead of ours. */
const LEEWAY_MS = 60_000;

export interface Bundle {
  /** `aud`: whom it is for. */
  readonly name: string;
  /** Counts up from one bundle to the next. */
  readonly serial: number;
  /** Epoch ms. */
  readonly issuedAt: number;
  /** Epoch ms; from then on it is not taken over any more. */
  readonly expiresAt: number;
  /** Texts by their file names. */
  readonly files: Readonly<Record<string, string>>;
}

export interface VerifiedBundle extends Bundle {
  /** Of everything that was signed but for the header; hex. */
  readonly digest: string;
}

/** Why something is no bundle for us. Quotes nothing of it. */
export class BundleFault extends Error {
  override readonly name = 'BundleFault';
}

/** `key`: Ed25519, EC P-256, P-384 or P-521, or RSA of at least 2048 bits. Throws BundleFault for others. */
export async function signBundle(bundle: Bundle, { key, jwk }: PrivateKey): Promise<string> {
  const { name: aud, serial, issuedAt, expiresAt, files } = bundle;
  const publicKey = createPublicKey(key);
  const set = new KeySet();
  // What nobody could verify is not signed.
  const problem = set.replace({ keys: [publicKey.export({ format: 'jwk' })] });
  const alg = ['EdDSA', 'ES256', 'ES384', 'ES512', 'PS256'].find(
    (one) => set.candidates(undefined, one).length > 0,
  );
  if (problem !== undefined || alg === undefined)
    throw new BundleFault(
      'the key is none of Ed25519, EC P-256, P-384 or P-521, and RSA of at least 2048 bits',
    );
  const payload = { aud, serial, iat: seconds(issuedAt), exp: seconds(expiresAt), files };
  const header = { alg, typ: TYPE, ...(jwk?.kid === undefined ? {} : { kid: jwk.kid }) };
  const jws = await new CompactSign(Buffer.from(JSON.stringify(payload)))
    .setProtectedHeader(header)
    .sign(key);
  if (jws.length > MAX_BUNDLE_BYTES) throw new BundleFault(`it is larger than ${MAX_BUNDLE_BYTES} bytes`);
  return jws;
}

/** Whom it is for is checked, its time is not (timeProblem). Throws BundleFault. */
export async function verifyBundle(jws: string, keys: KeySet, name: string): Promise<VerifiedBundle> {
  const payload = await verified(jws.trim(), keys);
  let claims: Record<string, unknown>;
  try {
    claims = (parseStrictJson(new TextDecoder('utf-8', { fatal: true }).decode(payload)) ??
      {}) as typeof claims;
  } catch (error) {
    throw new BundleFault(`its payload is ${error instanceof JsonFault ? error.message : 'no text'}`);
  }
  const { aud, serial, iat, exp, files } = claims;
  if (aud !== name) throw new BundleFault(`aud: it is not for ${name}`);
  if (!isCount(serial)) throw new BundleFault('serial: expected a whole number');
  if (!isTime(iat)) throw new BundleFault('iat: expected seconds since 1970');
  if (!isTime(exp) || exp <= iat) throw new BundleFault('exp: expected seconds since 1970, after iat');
  if (!areFiles(files))
    throw new BundleFault('files: expected texts by names that end in .yaml, .yml or .json');
  const digest = hash('sha256', payload, 'hex');
  return { name, serial, issuedAt: iat * 1_000, expiresAt: exp * 1_000, files, digest };
}

/** Why it may not be taken over at `now` (epoch ms); undefined = it may. */
export function timeProblem({ issuedAt, expiresAt }: Bundle, now: number): string | undefined {
  if (now >= expiresAt) return `expired at ${new Date(expiresAt).toISOString()}`;
  if (issuedAt > now + LEEWAY_MS) {
    return `issued at ${new Date(issuedAt).toISOString()}, which is to come: one of the two clocks is wrong`;
  }
  return undefined;
}

/** PEM public keys, or a JWK Set. Throws BundleFault. */
export function parsePinnedKeys(text: string): KeySet {
  const set = new KeySet();
  const problem = set.replace(text.trimStart().startsWith('{') ? parsed(text) : { keys: fromPem(text) });
  if (problem !== undefined) throw new BundleFault(`keys: ${problem}`);
  return set;
}

async function verified(jws: string, keys: KeySet): Promise<Uint8Array> {
  let header: ReturnType<typeof decodeProtectedHeader>;
  try {
    header = decodeProtectedHeader(jws);
  } catch {
    throw new BundleFault('it is no JWS');
  }
  const { alg, typ, kid, crit } = header;
  if (typ !== TYPE) throw new BundleFault(`typ: expected ${TYPE}`);
  if (crit !== undefined) throw new BundleFault('crit: there is no extension that is known here');
  // A key set knows the kind of each key: none and HS256 are no algorithm of any.
  const candidates = keys.candidates(kid, String(alg));
  if (candidates.length === 0) throw new BundleFault('it is signed by none of the pinned keys');
  for (const { key } of candidates) {
    try {
      return (await compactVerify(jws, key, { algorithms: [String(alg)] })).payload;
    } catch {
      // The next one, or the fault below.
    }
  }
  throw new BundleFault('its signature does not hold');
}

function parsed(text: string): unknown {
  try {
    return parseStrictJson(text);
  } catch {
    throw new BundleFault('keys: neither PEM public keys nor a JWK Set');
  }
}

function fromPem(text: string): readonly object[] {
  // createPublicKey() would take a private key, too, which has no business here.
  const blocks = text.match(/-----BEGIN PUBLIC KEY-----[\s\S]*?-----END PUBLIC KEY-----/g) ?? [];
  if (text.includes('PRIVATE KEY')) throw new BundleFault('keys: a private key stands among them');
  try {
    return blocks.map((pem) => createPublicKey(pem).export({ format: 'jwk' }));
  } catch {
    throw new BundleFault('keys: neither PEM public keys nor a JWK Set');
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Up to the year 9999. */
function isTime(value: unknown): value is number {
  return isCount(value) && value < 253_402_300_800;
}

function areFiles(value: unknown): value is Record<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const entries = Object.entries(value);
  return (
    entries.length > 0 &&
    entries.length <= MAX_FILES &&
    entries.every(
      ([name, text]) =>
        typeof text === 'string' && /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,120}\.(ya?ml|json)$/.test(name),
    )
  );
}

function seconds(ms: number): number {
  return Math.floor(ms / 1_000);
}
