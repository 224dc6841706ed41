// Secrets at rest: AES-256-GCM, bound to the place where they lie by the associated data, in a text with a version.
// Whatever was cut, changed, sealed with another key or copied from another place does not open.
import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';

const VERSION = 'sealed1';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** Far above a token's 16 KiB; whoever can write there must not make us decode megabytes. */
const MAX_TEXT = 256 << 10;

export interface SealingKey {
  /** Tells keys apart in what they sealed. Derived from the key, so that two keys never share it by mistake. */
  readonly id: string;
  readonly bytes: Buffer;
}

/** 32 bytes as 64 hexadecimal digits or as base64. undefined = it is not. */
export function parseSealingKey(text: string): SealingKey | undefined {
  const trimmed = text.trim();
  const isHex = /^[0-9a-f]{64}$/i.test(trimmed);
  if (!isHex && !/^[A-Za-z0-9+/_-]{43}=?$/.test(trimmed)) return undefined;
  const bytes = Buffer.from(trimmed, isHex ? 'hex' : 'base64');
  if (bytes.length !== KEY_BYTES) return undefined;
  return { id: createHmac('sha256', bytes).update('bearerd key id').digest('hex').slice(0, 16), bytes };
}

/** One line of visible ASCII: version, key id, then nonce, ciphertext and tag. `place` must be told again to open it. */
export function seal(plaintext: string, key: SealingKey, place: string): string {
  // Random nonces of 96 bits: one key may seal 2^32 times (NIST SP 800-38D section 8.3).
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key.bytes, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(associatedData(key.id, place));
  const sealed = Buffer.concat([
    nonce,
    cipher.update(plaintext, 'utf8'),
    cipher.final(),
    cipher.getAuthTag(),
  ]);
  return `${VERSION}.${key.id}.${sealed.toString('base64url')}`;
}

/** undefined = it does not open, for whatever reason: nothing of a foreign value is worth telling apart. */
export function unseal(text: string, keys: readonly SealingKey[], place: string): string | undefined {
  if (text.length > MAX_TEXT) return undefined;
  const [version, id, body, ...rest] = text.split('.');
  const key = keys.find((candidate) => candidate.id === id);
  if (version !== VERSION || key === undefined || body === undefined || rest.length > 0) return undefined;
  const sealed = Buffer.from(body, 'base64url');
  if (sealed.length < NONCE_BYTES + TAG_BYTES) return undefined;
  try {
    const nonce = sealed.subarray(0, NONCE_BYTES);
    const decipher = createDecipheriv('aes-256-gcm', key.bytes, nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(associatedData(key.id, place));
    decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
    const opened = [decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()];
    return Buffer.concat(opened).toString('utf8');
  } catch {
    return undefined;
  }
}

function associatedData(id: string, place: string): Buffer {
  return Buffer.from(`${VERSION}\0${id}\0${place}`, 'utf8');
}
