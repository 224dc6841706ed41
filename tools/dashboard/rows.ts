// What the dashboard shows: rows of panels, in the order in which somebody looks who was called. $instance and
// $__rate_interval are Grafana's.

export interface Panel {
  readonly title: string;
  /** Of Grafana: s, reqps, ops, percentunit, bytes, short. */
  readonly unit: string;
  readonly queries: readonly { readonly expr: string; readonly legend: string }[];
  /** From this value on it is red; below: up to it. */
  readonly alarm?: { readonly at: number; readonly below?: boolean };
}

export interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

const I = 'instance=~"$instance"';
const rate = (series: string): string => `rate(${series}[$__rate_interval])`;
const of = (metric: string, more = ''): string => `${metric}{${I}${more}}`;

function panel(title: string, unit: string, expr: string, legend: string, alarm?: Panel['alarm']): Panel {
  return { title, unit, queries: [{ expr, legend }], ...(alarm && { alarm }) };
}

export const ROWS: readonly Row[] = [
  {
    title: 'Runway',
    panels: [
      panel(
        'Credentials',
        's',
        `${of('bearerd_credential_runway_seconds')} < +Inf`,
        '{{instance}} {{source}}',
        {
          at: 0,
          below: true,
        },
      ),
      panel(
        'Share of the lifetime left',
        'percentunit',
        `${of('bearerd_credential_runway_seconds')} / ${of('bearerd_credential_lifetime_seconds')} < +Inf`,
        '{{instance}} {{source}}',
        { at: 0.15, below: true },
      ),
      panel(
        'API keys',
        's',
        `${of('bearerd_api_key_runway_seconds')} < +Inf`,
        '{{instance}} {{source}} {{key}}',
        {
          at: 604_800,
          below: true,
        },
      ),
      panel('Refresh tokens', 's', of('bearerd_refresh_token_runway_seconds'), '{{instance}} {{source}}', {
        at: 604_800,
        below: true,
      }),
      panel('Login required', 'short', of('bearerd_login_required'), '{{instance}} {{source}}', { at: 1 }),
      panel('Generation', 'short', of('bearerd_credential_generation'), '{{instance}} {{source}}'),
    ],
  },
  {
    title: 'Refreshes',
    panels: [
      panel(
        'By result',
        'ops',
        `sum by (source, result) (${rate(of('bearerd_refresh_duration_seconds_count'))})`,
        '{{source}} {{result}}',
      ),
      panel(
        'Duration, 95 %',
        's',
        `histogram_quantile(0.95, sum by (le, source) (${rate(of('bearerd_refresh_duration_seconds_bucket'))}))`,
        '{{source}}',
        { at: 2.5 },
      ),
      panel(
        'Failed',
        'percentunit',
        `sum by (source) (${rate(of('bearerd_refresh_duration_seconds_count', ',result!="ok"'))}) / sum by (source) (${rate(of('bearerd_refresh_duration_seconds_count'))})`,
        '{{source}}',
        { at: 0.05 },
      ),
      panel(
        'Fallbacks',
        'ops',
        `sum by (source, fallback, because) (${rate(of('bearerd_fallbacks_total'))})`,
        '{{source}} by {{fallback}}: {{because}}',
      ),
      panel(
        'Subjects with a credential',
        'short',
        of('bearerd_subject_credentials'),
        '{{instance}} {{source}}',
      ),
      panel(
        'Subjects evicted',
        'ops',
        `sum by (source) (${rate(of('bearerd_subject_evictions_total'))})`,
        '{{source}}',
      ),
    ],
  },
  {
    title: 'Token endpoints and breakers',
    panels: [
      panel(
        'Breaker (0 closed, 1 half open, 2 open)',
        'short',
        `max by (instance, endpoint) (${of('bearerd_endpoint_breaker')})`,
        '{{instance}} {{endpoint}}',
        { at: 1 },
      ),
      panel(
        'Calls',
        'ops',
        `sum by (endpoint, kind) (${rate(of('bearerd_endpoint_calls_total'))})`,
        '{{endpoint}} {{kind}}',
      ),
      panel(
        'Calls not sent',
        'ops',
        `sum by (endpoint, why) (${rate(of('bearerd_endpoint_refused_total'))})`,
        '{{endpoint}} {{why}}',
      ),
      panel('Clock skew', 's', of('bearerd_clock_skew_seconds'), '{{instance}} {{provider}}', { at: 30 }),
    ],
  },
  {
    title: 'Healing',
    panels: [
      panel(
        'Refused attempts',
        'ops',
        `sum by (source, door, verdict) (${rate(of('bearerd_refusals_total'))})`,
        '{{source}} {{door}} {{verdict}}',
      ),
      panel(
        'Refused in trailers, not sent again',
        'ops',
        `sum by (source, door) (${rate(of('bearerd_refusals_in_trailers_total'))})`,
        '{{source}} {{door}}',
      ),
      panel(
        'Renewals before time',
        'ops',
        `sum by (source, outcome) (${rate(of('bearerd_forced_refreshes_total'))})`,
        '{{source}} {{outcome}}',
      ),
      panel(
        'Told too late by Envoy',
        'ops',
        `sum by (policy) (${rate(of('bearerd_feedback_late_total'))})`,
        '{{policy}}',
      ),
      panel(
        'API keys refused',
        'ops',
        `sum by (source, key) (${rate(of('bearerd_api_keys_refused_total'))})`,
        '{{source}} {{key}}',
      ),
    ],
  },
  {
    title: 'Decisions',
    panels: [
      panel(
        'Checks',
        'reqps',
        `sum by (policy, decision) (${rate(of('bearerd_checks_total'))})`,
        '{{policy}} {{decision}}',
      ),
      panel(
        'Attempts',
        'reqps',
        `sum by (policy, decision) (${rate(of('bearerd_attempts_total'))})`,
        '{{policy}} {{decision}}',
      ),
      panel(
        'Uses of credentials, by key',
        'reqps',
        `sum by (source, key) (${rate(of('bearerd_credential_uses_total'))})`,
        '{{source}} {{key}}',
      ),
      {
        title: 'Time to the answer, 99 %',
        unit: 's',
        queries: [
          {
            expr: `histogram_quantile(0.99, sum by (le, policy) (${rate(of('bearerd_check_duration_seconds_bucket'))}))`,
            legend: '{{policy}}',
          },
          {
            expr: `histogram_quantile(0.99, sum by (le, policy) (${rate(of('bearerd_attempt_duration_seconds_bucket'))}))`,
            legend: '{{policy}} (attempt)',
          },
        ],
      },
      panel(
        'Guard: policies that made requests fail',
        'short',
        of('bearerd_guard_alarm'),
        '{{instance}} {{policy}} {{outcome}}',
        { at: 1 },
      ),
      {
        title: 'Without a credential, by reason',
        unit: 'reqps',
        queries: [
          {
            expr: `sum by (policy, reason) (${rate(of('bearerd_checks_total', ',decision=~"deny|error"'))})`,
            legend: '{{policy}} {{reason}}',
          },
          {
            expr: `sum by (policy, reason) (${rate(of('bearerd_attempts_total', ',decision=~"deny|error"'))})`,
            legend: '{{policy}} {{reason}} (attempt)',
          },
        ],
      },
    ],
  },
  {
    title: 'Requests (access_log: full)',
    panels: [
      panel(
        'Rate',
        'reqps',
        `sum by (policy, door) (${rate(of('bearerd_requests_total'))})`,
        '{{policy}} {{door}}',
      ),
      panel(
        'Errors',
        'percentunit',
        `sum by (policy, status) (${rate(of('bearerd_requests_total', ',status=~"401|403|429|4xx|503|5xx|grpc_error|none"'))}) / on (policy) group_left sum by (policy) (${rate(of('bearerd_requests_total'))})`,
        '{{policy}} {{status}}',
        { at: 0.01 },
      ),
      panel(
        'Duration, 95 %',
        's',
        `histogram_quantile(0.95, sum by (le, policy) (${rate(of('bearerd_request_duration_seconds_bucket'))}))`,
        '{{policy}}',
      ),
      panel(
        'Rate limit left',
        'percentunit',
        `${of('bearerd_rate_limit_remaining')} / ${of('bearerd_rate_limit')}`,
        '{{instance}} {{policy}}',
        { at: 0.1, below: true },
      ),
    ],
  },
  {
    title: 'Inbound',
    panels: [
      panel(
        'Let in',
        'reqps',
        `sum by (policy) (${rate(of('bearerd_inbound_accepted_total'))})`,
        '{{policy}}',
      ),
      panel(
        'Refused',
        'reqps',
        `sum by (policy, reason) (${rate(of('bearerd_inbound_refused_total'))})`,
        '{{policy}} {{reason}}',
      ),
      panel(
        'Refused but for shadow',
        'reqps',
        `sum by (policy, reason) (${rate(of('bearerd_inbound_shadow_refused_total'))})`,
        '{{policy}} {{reason}}',
      ),
      panel('Age of key sets and lists', 's', of('bearerd_input_age_seconds'), '{{instance}} {{input}}'),
      panel('Entries', 'short', of('bearerd_input_entries'), '{{instance}} {{input}}'),
      panel(
        'Not taken over',
        'ops',
        `sum by (input) (${rate(of('bearerd_inputs_refused_total'))})`,
        '{{input}}',
      ),
    ],
  },
  {
    title: 'Push',
    panels: [
      panel(
        'Subscriptions',
        'short',
        of('bearerd_secret_subscribers'),
        '{{instance}} known by a policy: {{known}}',
      ),
      {
        title: 'Secrets taken and refused by Envoy',
        unit: 'ops',
        queries: [
          { expr: rate(of('bearerd_secret_acks_total')), legend: '{{instance}} taken' },
          { expr: rate(of('bearerd_secret_nacks_total')), legend: '{{instance}} refused' },
        ],
      },
    ],
  },
  {
    title: 'Redis',
    panels: [
      panel('Answers (1) or is away (0)', 'short', of('bearerd_shared_cache_up'), '{{instance}}'),
      panel('Takes all that is asked (1)', 'short', of('bearerd_shared_cache_writable'), '{{instance}}'),
      panel(
        'Looks',
        'ops',
        `sum by (source, result) (${rate(of('bearerd_shared_cache_reads_total'))})`,
        '{{source}} {{result}}',
      ),
      panel(
        'Writes',
        'ops',
        `sum by (source, result) (${rate(of('bearerd_shared_cache_writes_total'))})`,
        '{{source}} {{result}}',
      ),
      panel(
        'Faults',
        'ops',
        `sum by (fault) (${rate(of('bearerd_shared_cache_faults_total'))})`,
        '{{fault}}',
      ),
    ],
  },
  {
    title: 'Process',
    panels: [
      panel('Event loop late, 99 %', 's', of('bearerd_event_loop_delay_seconds'), '{{instance}}', {
        at: 0.05,
      }),
      panel('Memory', 'bytes', of('process_resident_memory_bytes'), '{{instance}}'),
      panel('Processors', 'percentunit', rate(of('process_cpu_seconds_total')), '{{instance}}', { at: 0.9 }),
      {
        title: 'Configuration',
        unit: 'short',
        queries: [
          { expr: of('bearerd_configuration_revision'), legend: '{{instance}} revision' },
          { expr: of('bearerd_configurations_refused_total'), legend: '{{instance}} refused' },
        ],
      },
      panel('Serial of the policy bundle', 'short', of('bearerd_policy_bundle_serial'), '{{instance}}'),
      panel('Runway of the policy bundle', 's', of('bearerd_policy_bundle_runway_seconds'), '{{instance}}', {
        at: 86_400,
        below: true,
      }),
      panel(
        'Certificates',
        's',
        `${of('bearerd_certificate_not_after_seconds')} - time()`,
        '{{instance}} {{listener}}',
        { at: 28_800, below: true },
      ),
      panel(
        'Faults of peers',
        'ops',
        `sum by (listener, fault) (${rate(of('bearerd_peer_faults_total'))})`,
        '{{listener}} {{fault}}',
      ),
      {
        title: 'Lost, and what should not happen',
        unit: 'short',
        queries: [
          { expr: of('bearerd_audit_sink_failing'), legend: '{{instance}} audit sink fails' },
          { expr: of('bearerd_audit_records_lost_total'), legend: '{{instance}} audit records lost' },
          { expr: of('bearerd_spans_lost_total'), legend: '{{instance}} spans lost' },
          { expr: of('bearerd_unexpected_errors_total'), legend: '{{instance}} unexpected: {{where}}' },
        ],
      },
    ],
  },
];
