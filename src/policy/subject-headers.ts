// Headers by which a request says for whom it is made, and all that policies read.
import type { Config, OutboundConfig, SubjectHeaders } from '../config/config.ts';
import { TRACE_HEADERS } from '../lib/trace.ts';

export function namesOf(subject: SubjectHeaders | undefined): readonly string[] {
  if (subject === undefined) return [];
  return subject.actor === undefined ? [subject.token] : [subject.token, subject.actor];
}

/** What one policy reads beside what every request has. */
function headersRead({ subject, rollout: { by } }: OutboundConfig): readonly string[] {
  return by === undefined ? namesOf(subject) : [...namesOf(subject), by];
}

/** What Envoy has to send to bearerd beside what every request has: each name once. */
export function readHeaders({ outbound, tracing }: Pick<Config, 'outbound' | 'tracing'>): readonly string[] {
  return [...new Set([...outbound.flatMap(headersRead), ...(tracing === undefined ? [] : TRACE_HEADERS)])];
}
