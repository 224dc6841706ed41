// Keys of subjects and of values: SHA-256 over the whole text, never over a claim in it.
import { hash } from 'node:crypto';
import { Secret } from '../lib/secret.ts';
import type { Subject } from './credential.ts';

/** The key by which a credential's value is found again. */
export function keyOf(value: string): string {
  return hash('sha256', value, 'base64url');
}

/** Neither token holds a line break, so that no two pairs are one text. */
export function subjectKey(token: string, actor: string | undefined): string {
  return keyOf(actor === undefined ? token : `${token}\n${actor}`);
}

export function createSubject(token: string, actor: string | undefined): Subject {
  return {
    key: subjectKey(token, actor),
    token: new Secret(ownCopy(token)),
    actor: actor === undefined ? undefined : new Secret(ownCopy(actor)),
  };
}

/** V8 keeps the whole message alive behind a part that was cut out of it. */
function ownCopy(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}
