// The answer of GET /status as text for a terminal: what needs somebody first, then a table a noun.
import type { Status } from '../app/status.ts';
import { durationText } from '../lib/duration-text.ts';
import { printable } from '../lib/printable.ts';

/** As it came through JSON. */
export type ReportedStatus = Status;
type Source = Status['sources'][number];
type Policy = Status['policies'][number];

export function statusText(status: ReportedStatus): string {
  const { version, node, missing, configuration, now, findings, policyBundle } = status;
  const { revision, hash, since, refused } = configuration;
  const ready = missing.length === 0 ? 'ready' : `not ready, missing: ${missing.join(', ')}`;
  const parts = [
    lines(
      `bearerd ${version} on ${node}: ${ready}`,
      `configuration: revision ${revision} (${hash}) since ${since}`,
      refused && `a newer one was refused: ${refused}`,
      ...(policyBundle === undefined ? [] : bundleTexts(policyBundle)),
    ),
    table(
      ['SEVERITY', 'ABOUT', 'WHAT'],
      findings.map(({ severity, about, text }) => [severity.toUpperCase(), about, text]),
    ),
    table(
      ['SOURCE', 'TYPE', 'LEFT', 'NEXT RENEWAL', 'GENERATION', 'FETCHES/H', 'LAST FAILURE'],
      status.sources.map((one) => [
        one.source,
        one.type,
        one.subjects === undefined ? leftText(one, now) : `subjects: ${one.subjects}`,
        one.nextRefreshAt === undefined ? '-' : `in ${durationText(one.nextRefreshAt - now)}`,
        one.generation === undefined ? '-' : String(one.generation),
        `${sum(one.lastHour, 'ok')} ok, ${sum(one.lastHour, 'failed')} failed`,
        one.lastFailure ?? '-',
      ]),
    ),
    table(
      ['ENDPOINT', 'BREAKER', 'IN FLIGHT', 'QUEUED', 'RENEWALS/H AT MOST', 'CALLS/H', 'NOT SENT/H'],
      status.endpoints.map((one) => [
        one.endpoint,
        one.breaker,
        String(one.inFlight),
        String(one.queued),
        String(one.refreshesPerHour),
        String(sum(one.lastHour, 'calls')),
        String(sum(one.lastHour, 'notSent')),
      ]),
    ),
    table(
      ['POLICY', 'SOURCE', 'HEADERS', 'HEAL ON', 'ON FAILURE', 'MODE', 'CHECK', 'ATTEMPT'],
      status.policies.map((one) => [
        one.name,
        one.denies === undefined ? one.source : `denies (${one.denies})`,
        one.headers.join(', '),
        one.healOn,
        one.onFailure,
        modeText(one.rollout),
        decisionText(one, 'check'),
        decisionText(one, 'attempt'),
      ]),
    ),
    table(
      ['GUARD', 'VERSION', 'GOOD BEFORE', 'STATE', 'PUSH'],
      status.guard.map((one) => [
        one.policy,
        one.version,
        one.good ?? '-',
        one.alarm ?? (one.blind ? 'blind' : one.proven ? 'good' : one.watched ? 'watched' : '-'),
        one.manifest ?? '-',
      ]),
    ),
    table(
      ['INBOUND POLICY', 'ACCEPTED', 'REFUSED', 'SHADOW'],
      status.inboundPolicies.map((one) => [
        one.name,
        String(one.accepted),
        String(one.refused),
        String(one.shadow),
      ]),
    ),
    table(
      ['REFUSED', 'DOOR', 'POLICY', 'SOURCE', 'GENERATION', 'TAKEN FOR', 'DONE'],
      status.feedback
        .slice(0, 10)
        .map((one) => [
          `${durationText(now - one.at)} ago`,
          one.door,
          one.policy ?? '-',
          one.source === '' ? '-' : one.source,
          String(one.generation ?? '-'),
          one.verdict,
          one.renewed === undefined
            ? (one.refresh ?? '-')
            : `generation ${one.renewed.generation} after ${one.renewed.at - one.at} ms`,
        ]),
    ),
    table(
      ['ENVOY', 'LISTENER', 'SECRET', 'VERSION', 'HAS'],
      status.subscribers.flatMap(({ node, listener, secrets }) =>
        secrets.map(({ name, version, acknowledged, rejected }) => [
          node === '' ? '-' : node,
          listener,
          name,
          version,
          rejected !== undefined
            ? `refused ${rejected.version} ${durationText(now - rejected.at)} ago`
            : acknowledged === undefined
              ? 'no word yet'
              : `${acknowledged.version} since ${durationText(now - acknowledged.at)}`,
        ]),
      ),
    ),
    table(
      ['INPUT', 'ENTRIES', 'CURRENT'],
      status.inputs.map((one) => [
        one.input,
        String(one.entries ?? '-'),
        one.currentAt === undefined ? 'never' : `${durationText(now - one.currentAt)} ago`,
      ]),
    ),
    table(
      ['CERTIFICATE', 'ENDS'],
      status.certificates.map((one) => [one.listener, `in ${durationText(one.notAfter - now)}`]),
    ),
  ];
  return parts.filter((part) => part !== '').join('\n');
}

function bundleTexts({
  name,
  serial,
  expiresAt,
  confirmedAt,
  refused,
}: NonNullable<Status['policyBundle']>): readonly (string | undefined)[] {
  const inForce =
    serial === undefined
      ? 'none yet'
      : `serial ${serial} until ${expiresAt}, confirmed ${confirmedAt ?? 'never'}`;
  return [`policy bundle ${name}: ${inForce}`, refused && `the last answer was refused: ${refused}`];
}

function lines(...texts: readonly (string | undefined)[]): string {
  return texts.map((text) => (text ? `${printable(text)}\n` : '')).join('');
}

/** Enough for each name of a configuration; what a peer calls itself may be longer, and pushes the columns after it away. */
const CELL = 130;

function leftText({ generation, expiresAt }: Source, now: number): string {
  if (generation === undefined) return 'none';
  if (expiresAt === null || expiresAt === undefined) return 'endless';
  return expiresAt <= now ? 'ended' : durationText(expiresAt - now);
}

function modeText({ mode, percent, by }: Policy['rollout']): string {
  return `${mode}${percent === undefined ? '' : ` ${percent}%`}${by === undefined ? '' : ` by ${by}`}`;
}

/** `12 inject, 1 deny` */
function decisionText({ decisions }: Policy, door: 'check' | 'attempt'): string {
  const counts = new Map<string, number>();
  for (const one of decisions) {
    if (one.door === door && one.count > 0)
      counts.set(one.decision, (counts.get(one.decision) ?? 0) + one.count);
  }
  return [...counts].map(([decision, count]) => `${count} ${decision}`).join(', ') || '-';
}

function sum(minutes: Source['lastHour'], what: string): number {
  return minutes.reduce((total, minute) => total + (minute[what] ?? 0), 0);
}

/** Empty without rows. */
function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return '';
  const lines = [heads, ...rows].map((line) =>
    line.map((cell, at) => {
      const text = printable(cell);
      return text.length > CELL && at < heads.length - 1 ? `${text.slice(0, CELL - 1)}…` : text;
    }),
  );
  const widths = heads.map((_, at) => Math.max(...lines.map((line) => line[at]!.length)));
  return lines
    .map(
      (line) =>
        `${line
          .map((cell, at) => cell.padEnd(widths[at]!))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}
