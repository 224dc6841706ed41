// A chain over audit records: each line's MAC covers the line and the MAC before it, so that a changed, removed or
// inserted line shows. A tail that was cut off shows against a head that went elsewhere (the log, once a minute).
import { createHmac, timingSafeEqual } from 'node:crypto';
import { escaped } from '../../lib/printable.ts';
import type { Secret } from '../../lib/secret.ts';

/** What one thing that happened tells. Flat by type: an object with a token in it cannot be written by mistake. */
export type AuditFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** The last record: its number and its MAC. */
export interface ChainHead {
  readonly seq: number;
  readonly mac: string;
}

/** Before the first record. */
export const CHAIN_START: ChainHead = { seq: 0, mac: '' };

/** The line of the next record, without a line break, and the head after it. The same fields give the same line. */
export function sealRecord(
  fields: AuditFields,
  head: ChainHead,
  key: Secret,
): { line: string; head: ChainHead } {
  const seq = head.seq + 1;
  const body = recordText({ seq, ...fields, prev: head.mac });
  const mac = macOf(body, key);
  return { line: `${body.slice(0, -1)}${MAC_FIELD}${mac}"}`, head: { seq, mac } };
}

/** Hosts and paths are of others, whoever looks at the trail. Before the MAC: nothing on the way out changes it then. */
export function recordText(fields: AuditFields): string {
  return escaped(JSON.stringify(fields));
}

export type RecordFault = 'not_a_record' | 'wrong_mac' | 'gap' | 'not_after_the_last';

/** Checks one line against the record before it; undefined = it is the first that is looked at, wherever it stands. */
export function openRecord(
  line: string,
  before: ChainHead | undefined,
  key: Secret,
): { readonly head: ChainHead } | { readonly fault: RecordFault; readonly head: ChainHead | undefined } {
  const at = line.lastIndexOf(MAC_FIELD);
  if (at === -1 || !line.endsWith('"}')) return { fault: 'not_a_record', head: undefined };
  const body = `${line.slice(0, at)}}`;
  const mac = line.slice(at + MAC_FIELD.length, -2);
  let record: { seq?: unknown; prev?: unknown };
  try {
    record = JSON.parse(body);
  } catch {
    return { fault: 'not_a_record', head: undefined };
  }
  const { seq, prev } = record;
  if (typeof seq !== 'number' || typeof prev !== 'string') return { fault: 'not_a_record', head: undefined };
  const [stated, expected] = [Buffer.from(mac), Buffer.from(macOf(body, key))];
  // In bytes: timingSafeEqual throws where they differ in length.
  if (stated.length !== expected.length || !timingSafeEqual(stated, expected)) {
    return { fault: 'wrong_mac', head: undefined };
  }
  const head = { seq, mac };
  if (before === undefined) return { head };
  if (seq !== before.seq + 1) return { fault: 'gap', head };
  if (prev !== before.mac) return { fault: 'not_after_the_last', head };
  return { head };
}

const MAC_FIELD = ',"mac":"';

function macOf(body: string, key: Secret): string {
  return createHmac('sha256', key.reveal()).update(body).digest('base64url');
}
