// Headers by which a request says for whom it is made.
import type { OutboundConfig, SubjectHeaders } from '../config/config.ts';

export function namesOf(subject: SubjectHeaders | undefined): readonly string[] {
  if (subject === undefined) return [];
  return subject.actor === undefined ? [subject.token] : [subject.token, subject.actor];
}

/** What Envoy has to send to bearerd beside what every request has: each name once. */
export function readHeaders(outbound: readonly OutboundConfig[]): readonly string[] {
  return [...new Set(outbound.flatMap(({ subject }) => namesOf(subject)))];
}
