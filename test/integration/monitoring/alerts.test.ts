// The alert rules as Prometheus evaluates them: each fires for what it is about, and none of the others does.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { parse, stringify } from 'yaml';
import { ALERTS } from '../../../src/kubernetes/alerts.ts';
import { promtool } from '../../../tools/parts/promtool.ts';

/** By series in PromQL's notation, values of each step from 0. */
type Series = Readonly<Record<string, string>>;

interface Case {
  /** Alerts that fire at the end, no others. */
  readonly fires: readonly string[];
  readonly series: Series;
}

const runway = 'bearerd_credential_runway_seconds{source="orders"}';
const lifetime = 'bearerd_credential_lifetime_seconds{source="orders"}';
const refreshes = (result: string) =>
  `bearerd_refresh_duration_seconds_count{source="orders",result="${result}",forced="false"}`;
const forced = (outcome: string) => `bearerd_forced_refreshes_total{source="orders",outcome="${outcome}"}`;
const checks = (reason: string) => `bearerd_checks_total{policy="orders",decision="x",reason="${reason}"}`;
const refused = (reason: string) => `bearerd_inbound_refused_total{policy="api",reason="${reason}"}`;
const accepted = 'bearerd_inbound_accepted_total{policy="api"}';

const HEALTHY: Series = {
  [runway]: '290 250 210 170 290 250 210 170 290 250 210 170 290 250 210 170 290 250 210 170 290',
  [lifetime]: '300x20',
  'bearerd_credential_runway_seconds{source="legacy"}': '+Inf+0x20',
  'bearerd_credential_lifetime_seconds{source="legacy"}': '+Inf+0x20',
  'bearerd_api_key_runway_seconds{source="maps",key="old"}': '-60-60x20',
  'bearerd_api_key_runway_seconds{source="maps",key="new"}': '5000000-60x20',
  [refreshes('ok')]: '0+1x20',
  'bearerd_login_required{source="person"}': '0x20',
  'bearerd_refresh_token_runway_seconds{source="person"}': '2000000-60x20',
  'bearerd_endpoint_breaker{endpoint="idp"}': '0x20',
  [forced('started')]: '0+1x20',
  [forced('limited')]: '3x20',
  [checks('injected')]: '0+600x20',
  [checks('unmatched')]: '0+600x20',
  [checks('rate_limited')]: '0+600x20',
  [accepted]: '0+600x20',
  [refused('token_expired')]: '0+200x20',
  bearerd_secret_nacks_total: '0x20',
  'bearerd_certificate_not_after_seconds{listener="check"}': '90000x20',
  bearerd_configurations_refused_total: '0x20',
  bearerd_policy_bundle_runway_seconds: '600000-60x20',
  bearerd_audit_sink_failing: '0x20',
  bearerd_audit_records_lost_total: '0x20',
  'bearerd_clock_skew_seconds{provider="idp"}': '2x20',
  bearerd_shared_cache_up: '0x20',
  bearerd_shared_cache_writable: '0x20',
};

const CASES: readonly Case[] = [
  { fires: [], series: HEALTHY },
  { fires: ['BearerdCredentialExpired'], series: { [runway]: '100 50 0x18', [lifetime]: '300x20' } },
  { fires: ['BearerdTokenNotRenewed'], series: { [runway]: '640-30x20', [lifetime]: '900x20' } },
  {
    fires: ['BearerdKeyEndsThisWeek'],
    series: { [runway]: '500000-60x20', [lifetime]: '8000000x20' },
  },
  {
    fires: ['BearerdKeyEndsThisWeek', 'BearerdKeyEndsToday'],
    series: { 'bearerd_api_key_runway_seconds{source="maps",key="old"}': '80000-60x20' },
  },
  {
    fires: ['BearerdRefreshesFailing'],
    series: { [refreshes('ok')]: '0+9x20', [refreshes('source_timeout')]: '0+1x20' },
  },
  { fires: [], series: { [refreshes('ok')]: '0+99x20', [refreshes('source_timeout')]: '0+1x20' } },
  {
    fires: ['BearerdGuardAlarm'],
    series: { 'bearerd_guard_alarm{policy="orders",outcome="stepped_back"}': '_x10 1x10' },
  },
  { fires: ['BearerdLoginRequired'], series: { 'bearerd_login_required{source="person"}': '0x15 1x5' } },
  {
    fires: ['BearerdRefreshTokenEnding'],
    series: { 'bearerd_refresh_token_runway_seconds{source="person"}': '600000-60x20' },
  },
  {
    fires: ['BearerdBreakerOpen'],
    series: { 'bearerd_endpoint_breaker{endpoint="idp"}': '0x10 2 1 2 2 1 2 2 2 2 2' },
  },
  // The first count of a label is a new series: `increase` sees nothing of it.
  { fires: ['BearerdHealingLimited'], series: { [forced('limited')]: '_x15 1x5' } },
  { fires: ['BearerdHealingLimited'], series: { [forced('refused_for_good')]: '1x15 2x5' } },
  {
    fires: ['BearerdKeyRingRefused'],
    series: { 'bearerd_key_rings_refused_total{source="maps"}': '_x15 1x5' },
  },
  {
    fires: ['BearerdRequestsWithoutCredential'],
    series: { [checks('injected')]: '0+600x20', [checks('credential_expired')]: '0+3x20' },
  },
  {
    fires: ['BearerdRequestsWithoutCredential'],
    series: {
      'bearerd_attempts_total{policy="orders",decision="error",reason="source_rejected"}': '0+3x20',
    },
  },
  {
    fires: ['BearerdInboundUnavailable'],
    series: { [accepted]: '0+600x20', [refused('keys_unavailable')]: '0+2x20' },
  },
  { fires: ['BearerdInboundUnavailable'], series: { [refused('revocation_unknown')]: '0+2x20' } },
  {
    fires: ['BearerdSignaturesFailing'],
    series: { [accepted]: '0+600x20', [refused('token_signature')]: '0+60x20' },
  },
  { fires: ['BearerdInputRefused'], series: { 'bearerd_inputs_refused_total{input="keys"}': '_x15 1x5' } },
  { fires: ['BearerdSecretRefused'], series: { bearerd_secret_nacks_total: '0x15 1x5' } },
  {
    fires: ['BearerdCertificateEnding'],
    series: { 'bearerd_certificate_not_after_seconds{listener="check"}': '20000x20' },
  },
  {
    fires: ['BearerdCertificateRefused'],
    series: { 'bearerd_certificates_refused_total{listener="check"}': '_x15 1x5' },
  },
  { fires: ['BearerdPolicyBundleEnding'], series: { bearerd_policy_bundle_runway_seconds: '80000-60x20' } },
  { fires: ['BearerdConfigurationRefused'], series: { bearerd_configurations_refused_total: '0x15 1x5' } },
  { fires: ['BearerdAuditNotWritten'], series: { bearerd_audit_sink_failing: '0x10 1x10' } },
  { fires: ['BearerdAuditLost'], series: { bearerd_audit_records_lost_total: '0x10 7x10' } },
  { fires: ['BearerdClockSkew'], series: { 'bearerd_clock_skew_seconds{provider="idp"}': '-40x20' } },
  {
    fires: ['BearerdSharedCacheDown'],
    series: {
      bearerd_shared_cache_up: '1x8 0x12',
      'bearerd_shared_cache_faults_total{fault="refused"}': '1x20',
    },
  },
  {
    fires: ['BearerdSharedCacheRestricted'],
    series: { bearerd_shared_cache_up: '1x20', bearerd_shared_cache_writable: '1x8 0x12' },
  },
  {
    fires: ['BearerdUnexpectedError'],
    series: { 'bearerd_unexpected_errors_total{where="sds"}': '_x15 1x5' },
  },
];

/** Ten minutes a step: eight days of traffic, and then two hours. */
const WEEK_AND_MORE = 8 * 144;
const used = (key: string, instance = 'a') =>
  `bearerd_credential_uses_total{source="maps",key="${key}",instance="${instance}",job="apps"}`;
const LATE_CASES: readonly Case[] = [
  // 1,200 an hour, then 4,200: the pod of before is gone, its key is not.
  {
    fires: ['BearerdKeyUseUnusual'],
    series: {
      [used('k')]: `0+200x${WEEK_AND_MORE} _x12`,
      [used('k', 'b')]: `_x${WEEK_AND_MORE} 0+700x12`,
    },
  },
  // Three times as much is not far above; what is small may be ten times as much.
  { fires: [], series: { [used('k')]: `0+200x${WEEK_AND_MORE} ${200 * WEEK_AND_MORE}+550x12` } },
  { fires: [], series: { [used('k')]: `0+15x${WEEK_AND_MORE} ${15 * WEEK_AND_MORE}+150x12` } },
  // As busy as every night.
  {
    fires: [],
    series: {
      [used('k')]: Array.from(
        { length: 9 },
        (_, day) => `${day * 86_000}+500x131 ${day * 86_000 + 65_500}+1700x11`,
      ).join(' '),
    },
  },
  // A key of this morning, with the traffic of the one before it.
  {
    fires: [],
    series: {
      [used('old')]: `0+900x${WEEK_AND_MORE - 60}`,
      [used('new')]: `_x${WEEK_AND_MORE - 60} 0+900x72`,
    },
  },
];

test('each alert fires for what it is about and for nothing else', async (t) => {
  let program: string;
  try {
    program = await promtool();
  } catch (error) {
    t.skip((error as Error).message);
    return;
  }
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-alerts-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  copyFileSync('monitoring/alerts.yaml', join(folder, 'alerts.yaml'));
  // Over a week each rule costs seconds: only those that look so far back.
  const { groups } = parse(readFileSync('monitoring/alerts.yaml', 'utf8')) as {
    readonly groups: readonly {
      readonly name: string;
      readonly rules: readonly { readonly expr: string }[];
    }[];
  };
  const late = groups.map(({ name, rules }) => ({
    name,
    rules: rules.filter(({ expr }) => expr.includes('credential_uses')),
  }));
  writeFileSync(join(folder, 'late.yaml'), stringify({ groups: late }));
  const files = [
    ['alerts.yaml', CASES, 1, 20],
    ['late.yaml', LATE_CASES, 10, (WEEK_AND_MORE + 12) * 10],
  ] as const;
  for (const [rules, cases, stepMinutes, atMinutes] of files) {
    const tests = cases.map(({ fires, series }, at) => ({
      name: `${at}: ${fires.join(', ') || 'nothing'}`,
      interval: `${stepMinutes}m`,
      input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
      promql_expr_test: [
        {
          expr: 'count by (alertname) (ALERTS{alertstate="firing"})',
          eval_time: `${atMinutes}m`,
          exp_samples: fires.map((alert) => ({ labels: `{alertname="${alert}"}`, value: 1 })),
        },
      ],
    }));
    const file = join(folder, 'test.yaml');
    writeFileSync(file, stringify({ rule_files: [rules], evaluation_interval: `${stepMinutes}m`, tests }));
    const { stdout } = await promisify(execFile)(program, ['test', 'rules', file]);
    assert.match(stdout, /SUCCESS/);
  }
  const all = [...CASES, ...LATE_CASES];
  assert.deepEqual(
    ALERTS.map(({ alert }) => alert).filter((alert) => !all.some(({ fires }) => fires.includes(alert))),
    [],
    'every alert is tested',
  );
  t.diagnostic(`${ALERTS.length} alerts, ${all.length} cases`);
});
