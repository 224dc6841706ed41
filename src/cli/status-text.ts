// The answer of GET /status as text for a terminal.
export interface Status {
  readonly version: string;
  readonly startedAt: string;
  readonly missing: readonly string[];
  readonly sources: readonly {
    readonly source: string;
    readonly type: string;
    readonly generation?: number;
    /** Epoch ms; null = it never ends by itself (JSON has no Infinity). */
    readonly expiresAt?: number | null;
    readonly nextRefreshAt?: number;
    readonly lastFailure?: string;
    readonly subjects?: number;
  }[];
  readonly endpoints: readonly {
    readonly endpoint: string;
    readonly breaker: string;
    readonly inFlight: number;
    readonly queued: number;
    readonly refreshesPerHour: number;
  }[];
  readonly configuration: {
    readonly revision: number;
    readonly hash: string;
    readonly since: string;
    readonly refused?: string;
  };
  /** Absent in a bearerd of before. */
  readonly guard?: readonly {
    readonly policy: string;
    readonly version: string;
    readonly good?: string;
    readonly proven: boolean;
    readonly watched: boolean;
    readonly alarm?: string;
    readonly manifest?: string;
  }[];
  readonly policyBundle?: {
    readonly name: string;
    readonly serial?: number;
    readonly expiresAt?: string;
    readonly confirmedAt?: string;
    readonly refused?: string;
  };
  readonly policies: readonly {
    readonly name: string;
    readonly source: string;
    readonly headers: readonly string[];
    readonly healOn: string;
    readonly onFailure: string;
  }[];
}

/** `now` in epoch ms. */
export function statusText(
  { version, missing, sources, endpoints, configuration, policyBundle, policies, guard = [] }: Status,
  now: number,
): string {
  const { revision, hash, since, refused } = configuration;
  const parts = [
    `bearerd ${version}: ${missing.length === 0 ? 'ready' : `not ready, missing: ${missing.join(', ')}`}\n` +
      `configuration ${revision} (${hash}) since ${since}\n` +
      (refused === undefined ? '' : `a newer one was refused: ${refused}\n`) +
      (policyBundle === undefined ? '' : bundleText(policyBundle)),
    table(
      ['SOURCE', 'TYPE', 'LEFT', 'NEXT RENEWAL', 'GENERATION', 'LAST FAILURE'],
      sources.map((one) => [
        one.source,
        one.type,
        one.subjects === undefined ? leftText(one, now) : `${one.subjects} subjects`,
        one.nextRefreshAt === undefined ? '-' : `in ${durationText(one.nextRefreshAt - now)}`,
        one.generation === undefined ? '-' : String(one.generation),
        one.lastFailure ?? '-',
      ]),
    ),
    table(
      ['ENDPOINT', 'BREAKER', 'IN FLIGHT', 'QUEUED', 'RENEWALS/H'],
      endpoints.map((one) => [
        one.endpoint,
        one.breaker,
        String(one.inFlight),
        String(one.queued),
        String(one.refreshesPerHour),
      ]),
    ),
    table(
      ['POLICY', 'SOURCE', 'HEADERS', 'HEAL ON', 'ON FAILURE'],
      policies.map((one) => [one.name, one.source, one.headers.join(', '), one.healOn, one.onFailure]),
    ),
    table(
      ['GUARD', 'VERSION', 'GOOD BEFORE', 'STATE', 'PUSH'],
      guard.map((one) => [
        one.policy,
        one.version,
        one.good ?? '-',
        one.alarm ?? (one.proven ? 'good' : one.watched ? 'watched' : '-'),
        one.manifest ?? '-',
      ]),
    ),
  ];
  return parts.filter((part) => part !== '').join('\n');
}

function bundleText({
  name,
  serial,
  expiresAt,
  confirmedAt,
  refused,
}: NonNullable<Status['policyBundle']>): string {
  const inForce =
    serial === undefined
      ? 'none yet'
      : `serial ${serial} until ${expiresAt}, confirmed ${confirmedAt ?? 'never'}`;
  return `policy bundle ${name}: ${inForce}\n${refused === undefined ? '' : `the last answer was refused: ${refused}\n`}`;
}

function leftText({ generation, expiresAt }: Status['sources'][number], now: number): string {
  if (generation === undefined) return 'none';
  if (expiresAt === null || expiresAt === undefined) return 'endless';
  return expiresAt <= now ? 'ended' : durationText(expiresAt - now);
}

/** Two units at most: `3d 4h`, `4m 10s`, `0s`. */
function durationText(ms: number): string {
  let seconds = Math.max(0, Math.round(ms / 1000));
  const parts: string[] = [];
  for (const [unit, length] of [
    ['d', 86_400],
    ['h', 3_600],
    ['m', 60],
    ['s', 1],
  ] as const) {
    const count = Math.floor(seconds / length);
    seconds -= count * length;
    if (count > 0) parts.push(`${count}${unit}`);
  }
  return parts.length === 0 ? '0s' : parts.slice(0, 2).join(' ');
}

/** Empty without rows. */
function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return '';
  const lines = [heads, ...rows];
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
