// Whether two values say the same, secrets included: SHA-256 over their JSON, in which a Secret stands as its own digest.
import { hash } from 'node:crypto';
import { Secret } from './secret.ts';

/** Hex. The same for the same content in the same order of keys; tells nothing of a secret in it. */
export function fingerprint(value: unknown): string {
  return hash('sha256', JSON.stringify(value, digested) ?? 'undefined', 'hex');
}

/** Hex, without what is secret: the same in every process that has this content, and nothing to be guessed from it. */
export function contentHash(value: unknown): string {
  return hash('sha256', JSON.stringify(value) ?? 'undefined', 'hex');
}

// `this` and not `value`: JSON.stringify has called toJSON() already, and every Secret is "[redacted]" by then.
function digested(this: unknown, key: string, value: unknown): unknown {
  const original = (this as Record<string, unknown>)[key];
  return original instanceof Secret ? { secret: hash('sha256', original.reveal(), 'hex') } : value;
}
