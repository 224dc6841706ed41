// The ring file: several API keys of one account, and which of them may be used. It is the only state there is: a person
// or `bearerd keys` writes it, the serving process reads it and never writes.
import { dirname, resolve } from 'node:path';
import { LineCounter, type Node, parseDocument, visit } from 'yaml';
import { nearestWord } from '../lib/suggestion.ts';

export const KEY_STATES = ['generated', 'activated', 'in_use', 'suspended', 'revoked'] as const;

/** generated → activated → in_use; suspended may come back, revoked never does. */
export type KeyState = (typeof KEY_STATES)[number];

export interface RingKey {
  readonly id: string;
  /** Absolute path of the file with the value. */
  readonly file: string;
  /** Epoch ms. */
  readonly notBefore: number;
  /** Epoch ms; Infinity = never by itself. */
  readonly expiresAt: number;
  readonly state: KeyState;
  /** Where the word of the state stands in the text, [from, to). */
  readonly stateAt: readonly [number, number];
}

/** The file cannot be used. `message` starts with FILE:LINE:COLUMN and says what was expected; it quotes no value. */
export class RingFault extends Error {
  override readonly name = 'RingFault';
}

const MAX_KEYS = 100;
const FIELDS = ['id', 'value', 'not_before', 'expires_at', 'state'];
// RFC 3339 section 5.6. Without a zone nobody knows which is meant.
const INSTANT = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:\d{2})$/;

/** Relative paths are relative to `file`. Throws RingFault. */
export function parseKeyRing(text: string, file: string): readonly RingKey[] {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, schema: 'core', uniqueKeys: true });

  function refuse(offset: number, message: string): never {
    const { line, col } = lines.linePos(offset);
    throw new RingFault(`${file}:${line}:${col}: ${message}`);
  }
  const placeOf = (path: readonly (string | number)[]): number => {
    for (let length = path.length; length >= 0; length--) {
      const node = document.getIn(path.slice(0, length), true) as Node | undefined;
      if (node?.range) return node.range[0];
    }
    return 0;
  };

  const [fault] = document.errors;
  // Not the parser's message: it quotes the file.
  if (fault) refuse(fault.pos[0], `not YAML (${fault.code})`);
  visit(document, {
    Alias: (_, node) => refuse(node.range![0], 'write it out: an alias of YAML is not followed here'),
  });
  const root: unknown = document.toJS();
  const list = isObject(root) ? root['keys'] : undefined;
  if (!Array.isArray(list) || list.length === 0) refuse(0, 'expected keys: a list with at least one entry');
  if (list.length > MAX_KEYS) refuse(placeOf(['keys']), `expected at most ${MAX_KEYS} keys`);

  const keys = (list as unknown[]).map((entry, i): RingKey => {
    const at = (field: string) => placeOf(['keys', i, field]);
    if (!isObject(entry)) return refuse(placeOf(['keys', i]), 'expected { id, value, not_before, state }');
    for (const field of Object.keys(entry)) {
      if (FIELDS.includes(field)) continue;
      const near = nearestWord(field, FIELDS);
      refuse(at(field), `unknown key "${field}"${near ? `; did you mean ${near}?` : ''}`);
    }
    const { id, value, state } = entry;
    if (typeof id !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(id)) {
      return refuse(at('id'), 'expected id: letters, digits, ".", "_" and "-" in quotes, at most 64');
    }
    const path = isObject(value) ? value['file'] : undefined;
    if (typeof path !== 'string' || path === '' || Object.keys(value as object).length !== 1) {
      return refuse(at('value'), `expected value: { file: /path } of key ${id}`);
    }
    const instant = (field: string): number => {
      const time = entry[field];
      const ms = typeof time === 'string' && INSTANT.test(time) ? Date.parse(time) : Number.NaN;
      if (Number.isNaN(ms)) {
        refuse(at(field), `expected ${field} of key ${id} as 2026-11-25T12:00:00Z`);
      }
      return ms;
    };
    if (!KEY_STATES.includes(state as KeyState)) {
      const near = typeof state === 'string' ? nearestWord(state, KEY_STATES) : undefined;
      refuse(
        at('state'),
        `expected state of key ${id}: ${KEY_STATES.join(', ')}${near ? `; did you mean ${near}?` : ''}`,
      );
    }
    const notBefore = instant('not_before');
    const expiresAt = entry['expires_at'] === undefined ? Number.POSITIVE_INFINITY : instant('expires_at');
    if (expiresAt <= notBefore)
      refuse(at('expires_at'), `expires_at of key ${id} is not after its not_before`);
    const [from, to] = (document.getIn(['keys', i, 'state'], true) as Node).range!;
    return {
      id,
      file: resolve(dirname(file), path),
      notBefore,
      expiresAt,
      state: state as KeyState,
      stateAt: [from, to],
    };
  });

  keys.forEach((key, i) => {
    if (keys.findIndex(({ id }) => id === key.id) !== i)
      refuse(placeOf(['keys', i, 'id']), `the id ${key.id} stands there twice`);
  });
  const used = keys.filter(({ state }) => state === 'in_use');
  if (used.length > 1) {
    const second = keys.indexOf(used[1]!);
    refuse(
      placeOf(['keys', second, 'state']),
      `only one key is in_use, and ${used[0]!.id} is already; a key beside it is activated`,
    );
  }
  return keys;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
