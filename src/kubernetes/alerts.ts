// Alerts over bearerd's metrics, as data: `generate kubernetes workload` and monitoring/alerts.yaml are made of them.
// Each has a section in docs/runbooks.md.

export interface Alert {
  readonly alert: string;
  readonly expr: string;
  /** How long it is true before it fires. */
  readonly for?: string;
  readonly severity: 'critical' | 'warning';
  /** Over all sidecars of a job: it has no instance. Default false. */
  readonly overall?: true;
  readonly summary: string;
}

/** True for `window` after a counter moved. `increase` alone does not see the first count of a labelled one, which is new then. */
const moved = (counter: string, window: string): string =>
  `increase(${counter}[${window}]) > 0 or (${counter} > 0 unless ${counter} offset ${window})`;

/** Share of `part` in `whole` over five minutes, without the labels that tell them apart. */
const share = (part: string, whole: string, without: string): string =>
  `sum without (${without}) (rate(${part}[5m])) / sum without (${without}) (rate(${whole}[5m]))`;

/** Share of incoming requests that are refused for these reasons. A policy that let nothing in yet has no count of it. */
function inboundShare(reasons: string): string {
  const refused = (selector: string): string =>
    `sum without (policy, reason) (rate(bearerd_inbound_refused_total${selector}[5m]))`;
  const accepted = `(sum without (policy) (rate(bearerd_inbound_accepted_total[5m])) or 0 * ${refused('')})`;
  return `${refused(`{reason=~"${reasons}"}`)} / (${refused('')} + ${accepted})`;
}

/**
 * Uses of each key in an hour, over all sidecars of a job: pods come and go, their key stays. Recorded, since a week of it is
 * looked at.
 */
const USES = {
  record: 'bearerd:credential_uses:increase1h',
  expr: 'sum without (instance, pod) (increase(bearerd_credential_uses_total[1h]))',
};
/** Uses in an hour below which a key is left alone: few requests double for no reason. */
const LEAST_USES = 1_000;

const WEEK = 604_800;
const DAY = 86_400;
/** Reasons for which bearerd, its sources or its configuration are to blame and not the request. */
const NO_CREDENTIAL =
  'source_.+|secret_unreadable|store_unavailable|login_required|credential_.+|proof_unavailable|first_fetch_limited';

const CREDENTIALS: readonly Alert[] = [
  {
    alert: 'BearerdCredentialExpired',
    expr: 'bearerd_credential_runway_seconds == 0',
    for: '30s',
    severity: 'critical',
    summary: 'The last credential of source {{ $labels.source }} ended and there is no new one.',
  },
  {
    // Renewal begins at 50 to 70 % of a lifetime, and kubelet replaces its tokens at 80 %: below 15 % something is wrong.
    alert: 'BearerdTokenNotRenewed',
    expr: `0 < bearerd_credential_runway_seconds < 0.15 * bearerd_credential_lifetime_seconds and bearerd_credential_lifetime_seconds <= ${DAY}`,
    severity: 'warning',
    summary:
      'The token of source {{ $labels.source }} ends in {{ $value | humanizeDuration }} and was not renewed.',
  },
  {
    alert: 'BearerdKeyEndsThisWeek',
    expr: `0 < bearerd_credential_runway_seconds < ${WEEK} and bearerd_credential_lifetime_seconds > ${DAY} or max without (key) (bearerd_api_key_runway_seconds) < ${WEEK}`,
    severity: 'warning',
    summary: 'The long-lived key of source {{ $labels.source }} ends in {{ $value | humanizeDuration }}.',
  },
  {
    alert: 'BearerdKeyEndsToday',
    expr: `0 < bearerd_credential_runway_seconds < ${DAY} and bearerd_credential_lifetime_seconds > ${DAY} or max without (key) (bearerd_api_key_runway_seconds) < ${DAY}`,
    severity: 'critical',
    summary: 'The long-lived key of source {{ $labels.source }} ends in {{ $value | humanizeDuration }}.',
  },
  {
    alert: 'BearerdRefreshesFailing',
    expr: `${share('bearerd_refresh_duration_seconds_count{result!="ok"}', 'bearerd_refresh_duration_seconds_count', 'result, forced')} > 0.05`,
    for: '5m',
    severity: 'warning',
    summary: '{{ $value | humanizePercentage }} of the renewals of source {{ $labels.source }} fail.',
  },
  {
    alert: 'BearerdLoginRequired',
    expr: 'bearerd_login_required == 1',
    severity: 'critical',
    summary: 'Source {{ $labels.source }} waits for a person to log in.',
  },
  {
    alert: 'BearerdRefreshTokenEnding',
    expr: `bearerd_refresh_token_runway_seconds < ${WEEK}`,
    severity: 'warning',
    summary: 'The refresh token of source {{ $labels.source }} ends in {{ $value | humanizeDuration }}.',
  },
  {
    alert: 'BearerdBreakerOpen',
    expr: 'bearerd_endpoint_breaker > 0',
    for: '2m',
    severity: 'warning',
    summary: 'Calls to {{ $labels.endpoint }} fail; only probes are sent.',
  },
  {
    alert: 'BearerdHealingLimited',
    expr: moved('bearerd_forced_refreshes_total{outcome=~"limited|refused_for_good"}', '10m'),
    severity: 'warning',
    summary: 'Upstreams refuse credentials of source {{ $labels.source }} faster than they may be renewed.',
  },
  {
    // The busiest hour and not the mean: whatever runs once a night or once a week is usual. Until yesterday, so that it does
    // not get used to itself, and a key has to be a day old.
    alert: 'BearerdKeyUseUnusual',
    expr: `${USES.record} > 3 * max_over_time(${USES.record}[1w] offset 1d) and ${USES.record} > ${LEAST_USES}`,
    severity: 'warning',
    overall: true,
    summary:
      'Source {{ $labels.source }} {{ with $labels.key }}(key {{ . }}) {{ end }}was used {{ $value | humanize }} times in an hour, more than three times its busiest hour of the week before.',
  },
  {
    alert: 'BearerdKeyRingRefused',
    expr: moved('bearerd_key_rings_refused_total', '15m'),
    severity: 'warning',
    summary: 'The key ring of source {{ $labels.source }} cannot be used; the last good one stays in force.',
  },
];

const REQUESTS: readonly Alert[] = [
  {
    alert: 'BearerdRequestsWithoutCredential',
    expr: `${share(`bearerd_checks_total{reason=~"${NO_CREDENTIAL}"}`, 'bearerd_checks_total', 'decision, reason')} > 0.001 or ${share(`bearerd_attempts_total{reason=~"${NO_CREDENTIAL}"}`, 'bearerd_attempts_total', 'decision, reason')} > 0.001`,
    for: '2m',
    severity: 'critical',
    summary:
      '{{ $value | humanizePercentage }} of the requests of policy {{ $labels.policy }} find no credential.',
  },
  {
    alert: 'BearerdGuardAlarm',
    expr: 'bearerd_guard_alarm == 1',
    severity: 'critical',
    summary:
      'The new version of policy {{ $labels.policy }} makes requests fail ({{ $labels.outcome }}): the rollout is to be stopped.',
  },
  {
    // What callers do wrong is no fault of ours: only what cannot be decided counts against the 99.9 %.
    alert: 'BearerdInboundUnavailable',
    expr: `${inboundShare('keys_unavailable|exchange_unavailable|revocation_unknown')} > 0.001`,
    for: '5m',
    severity: 'critical',
    summary:
      '{{ $value | humanizePercentage }} of the incoming requests are refused because keys, exchanged tokens or the revocation list are missing.',
  },
  {
    alert: 'BearerdSignaturesFailing',
    expr: `${inboundShare('token_signature|token_key|signature|dpop_proof')} > 0.05`,
    for: '5m',
    severity: 'warning',
    summary:
      '{{ $value | humanizePercentage }} of the incoming requests come with a signature that does not hold.',
  },
  {
    alert: 'BearerdInputRefused',
    expr: moved('bearerd_inputs_refused_total', '15m'),
    severity: 'warning',
    summary: 'The input {{ $labels.input }} cannot be read or is refused; the last good one counts on.',
  },
  {
    alert: 'BearerdSecretRefused',
    expr: moved('bearerd_secret_nacks_total', '10m'),
    severity: 'critical',
    summary: 'Envoy refuses secrets of the push door and goes on with the ones before.',
  },
];

const PROCESS: readonly Alert[] = [
  {
    // Not days: certificates of a mesh live for 24 hours and are replaced after half of them.
    alert: 'BearerdCertificateEnding',
    expr: 'bearerd_certificate_not_after_seconds - time() < 28800',
    severity: 'critical',
    summary: 'The certificate of listener {{ $labels.listener }} ends in {{ $value | humanizeDuration }}.',
  },
  {
    alert: 'BearerdCertificateRefused',
    expr: moved('bearerd_certificates_refused_total', '15m'),
    severity: 'warning',
    summary: 'New certificate files of listener {{ $labels.listener }} are not usable.',
  },
  {
    alert: 'BearerdPolicyBundleEnding',
    expr: 'bearerd_policy_bundle_runway_seconds < 86400',
    severity: 'warning',
    summary:
      'The policy bundle in force ends in {{ $value | humanizeDuration }}; a restart after that takes up none.',
  },
  {
    alert: 'BearerdConfigurationRefused',
    expr: moved('bearerd_configurations_refused_total', '15m'),
    severity: 'warning',
    summary: 'A changed configuration has problems; the one before stays in force.',
  },
  {
    alert: 'BearerdAuditNotWritten',
    expr: 'bearerd_audit_sink_failing == 1',
    for: '1m',
    severity: 'warning',
    summary: 'Audit records cannot be written; they wait in memory.',
  },
  {
    alert: 'BearerdAuditLost',
    expr: moved('bearerd_audit_records_lost_total', '1h'),
    severity: 'critical',
    summary: 'Audit records are lost.',
  },
  {
    alert: 'BearerdClockSkew',
    expr: 'abs(bearerd_clock_skew_seconds) > 30',
    for: '5m',
    severity: 'critical',
    summary:
      'The clock of this machine or of {{ $labels.provider }} is wrong by {{ $value | humanizeDuration }}.',
  },
  {
    alert: 'BearerdSharedCacheDown',
    // The gauges are 0 also where no shared cache is configured.
    expr: 'bearerd_shared_cache_up == 0 and sum without (fault) (bearerd_shared_cache_faults_total) > 0',
    for: '5m',
    severity: 'warning',
    summary: 'The shared cache does not answer or refuses all: every sidecar asks the provider for itself.',
  },
  {
    alert: 'BearerdSharedCacheRestricted',
    expr: 'bearerd_shared_cache_writable == 0 and bearerd_shared_cache_up == 1',
    for: '5m',
    severity: 'warning',
    summary: 'The shared cache refuses what is written, or a part of it: entries end without a next one.',
  },
  {
    alert: 'BearerdUnexpectedError',
    expr: moved('bearerd_unexpected_errors_total', '15m'),
    severity: 'warning',
    summary: 'Something happened in {{ $labels.where }} that should not.',
  },
];

export const ALERTS: readonly Alert[] = [...CREDENTIALS, ...REQUESTS, ...PROCESS];

/** Of the source or policy that an alert is about, by which Alertmanager routes; an empty label is none. */
const ownerBy = (place: 'instance' | 'job'): string =>
  ['source', 'policy']
    .map(
      (kind) =>
        `{{ with printf "bearerd_${kind}_owner{${kind}=%q,${place}=%q}" $labels.${kind} $labels.${place} | query }}{{ . | first | label "owner" }}{{ end }}`,
    )
    .join('');

/** Content of a Prometheus rule file, and `spec` of a PrometheusRule. */
export function alertRules(): object {
  const alerts = ALERTS.map(({ alert, expr, for: lasting, severity, overall, summary }) => ({
    ...{ alert, expr, for: lasting },
    labels: { severity, owner: ownerBy(overall ? 'job' : 'instance') },
    annotations: { summary, runbook_url: `docs/runbooks.md#${alert.toLowerCase()}` },
  }));
  return { groups: [{ name: 'bearerd', rules: [USES, ...alerts] }] };
}
