// What a policy table decides about a request, in words that a person or a test reads. The doors decide by the table itself.
import type { PolicyTable } from './policy.ts';

export interface Outcome {
  readonly decision: 'inject' | 'pass' | 'deny';
  /** Name of the policy; undefined where none decided. */
  readonly policy: string | undefined;
  readonly source: string | undefined;
  /** Of a denial. */
  readonly reason: 'unmatched' | 'ambiguous_path' | 'denied' | undefined;
}

export interface AskedRequest {
  readonly method: string;
  readonly scheme: string;
  /** With its port where it has one. */
  readonly host: string;
  readonly path: string;
}

export function outcomeOf(table: PolicyTable, { method, scheme, host, path }: AskedRequest): Outcome {
  // What is in shadow counts as if it were in force.
  const match = table.wouldDeny?.(host, method, path, scheme) ?? table.match(host, method, path, scheme);
  const nothing = { policy: undefined, source: undefined };
  if (match === 'ambiguous_path') return { ...nothing, decision: 'deny', reason: 'ambiguous_path' };
  if (match === undefined) {
    return table.unmatched === 'deny'
      ? { ...nothing, decision: 'deny', reason: 'unmatched' }
      : { ...nothing, decision: 'pass', reason: undefined };
  }
  if (match.denies !== undefined) {
    return { decision: 'deny', policy: match.name, source: undefined, reason: 'denied' };
  }
  return { decision: 'inject', policy: match.name, source: match.source, reason: undefined };
}

/** `inject orders`, `pass`, `deny (unmatched)`, `deny no-deletes` */
export function outcomeText({ decision, policy, reason }: Outcome): string {
  if (policy !== undefined) return `${decision} ${policy}`;
  return reason === undefined ? decision : `${decision} (${reason})`;
}

/** `GET http://host/path` as it would be sent; undefined where it is none. Not by the URL class: it would tidy the path. */
export function parseAskedRequest(text: string): AskedRequest | undefined {
  const match = /^([A-Za-z]+) (https?):\/\/([^/?#\s]+)([^#\s]*)$/.exec(text);
  if (!match) return undefined;
  const [, method, scheme, host, path] = match as unknown as [string, string, string, string, string];
  return { method: method.toUpperCase(), scheme, host, path: path === '' ? '/' : path };
}
