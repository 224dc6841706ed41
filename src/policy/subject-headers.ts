// Headers by which a request says for whom it is made, and all that policies read.
import type { OutboundConfig, SubjectHeaders } from '../config/config.ts';

export function namesOf(subject: SubjectHeaders | undefined): readonly string[] {
  if (subject === undefined) return [];
  return subject.actor === undefined ? [subject.token] : [subject.token, subject.actor];
}

/** What one policy reads beside what every request has. */
export function headersRead({ subject, rollout: { by } }: OutboundConfig): readonly string[] {
  return by === undefined ? namesOf(subject) : [...namesOf(subject), by];
}

/** What Envoy has to send to bearerd beside what every request has: each name once. */
export function readHeaders(outbound: readonly OutboundConfig[]): readonly string[] {
  return [...new Set(outbound.flatMap(headersRead))];
}
