// Reads a chain of audit lines from its beginning and tells what does not hold.
import type { Secret } from '../../lib/secret.ts';
import { type ChainHead, openRecord, type RecordFault } from './chain.ts';

export interface AuditFault {
  readonly file: string;
  /** 1-based. */
  readonly line: number;
  readonly fault: RecordFault;
}

export interface AuditReport {
  readonly records: number;
  /** seq of the first record; above 1 where older files were removed after their time. */
  readonly first: number | undefined;
  readonly last: ChainHead | undefined;
  /** The first ones. */
  readonly faults: readonly AuditFault[];
  readonly faultsLeftOut: number;
  /** undefined where no head was given. */
  readonly headHolds: boolean | undefined;
}

/** Of a file that is none of ours each line is one. */
const MAX_FAULTS = 1_000;

/** `lines` are those of all files in their order. `head` as the log told it: the record that must be there. */
export async function verifyChain(
  lines: AsyncIterable<{ readonly file: string; readonly line: number; readonly text: string }>,
  key: Secret,
  head: ChainHead | undefined,
): Promise<AuditReport> {
  const faults: AuditFault[] = [];
  let faultsLeftOut = 0;
  let records = 0;
  let first: number | undefined;
  let before: ChainHead | undefined;
  let headHolds = head === undefined ? undefined : false;
  for await (const { file, line, text } of lines) {
    records++;
    const opened = openRecord(text, before, key);
    if ('fault' in opened && faults.length < MAX_FAULTS) faults.push({ file, line, fault: opened.fault });
    else if ('fault' in opened) faultsLeftOut++;
    first ??= opened.head?.seq;
    if (head !== undefined && opened.head?.seq === head.seq && opened.head.mac === head.mac) headHolds = true;
    // After a changed line the next one still names the MAC that stood there: each fault is told once.
    before = opened.head ?? (before && { seq: before.seq + 1, mac: macOfLine(text) });
  }
  return { records, first, last: before, faults, faultsLeftOut, headHolds };
}

function macOfLine(text: string): string {
  return /"mac":"([\w-]+)"\}$/.exec(text)?.[1] ?? '';
}
