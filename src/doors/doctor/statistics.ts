// Whether an Envoy counts what the guard of a policy by push goes by. Pure.
import { RE2JS } from 're2js';
import type { Config } from '../../config/config.ts';
import { json, list } from '../envoy-json.ts';
import { KEPT_STATISTICS, policyOfCluster } from '../push/envoy-statistics.ts';
import { type EnvoyState, ofType } from './envoy-state.ts';
import type { Finding } from './finding.ts';

export function statistics(config: Config, state: EnvoyState): readonly Finding[] {
  const guarded = new Set(config.outbound.filter(({ guard }) => guard !== undefined).map(({ name }) => name));
  if (guarded.size === 0) return [];
  const policyOf = policyOfCluster(config);
  const lacking = new Map<string, ReadonlySet<string>>();
  for (const { above } of ofType(state, 'credential_injector.v3.CredentialInjector')) {
    const cluster = above.findLast(
      (a) => typeof a['name'] === 'string' && 'typed_extension_protocol_options' in a,
    );
    const policy = cluster && policyOf(String(cluster['name']));
    if (policy === undefined || !guarded.has(policy)) continue;
    const prefix = `cluster.${cluster!['alt_stat_name'] ?? cluster!['name']}.`;
    const missing = KEPT_STATISTICS.filter((statistic) => !isKept(`${prefix}${statistic}`, state));
    if (missing.length > 0) lacking.set(policy, new Set([...(lacking.get(policy) ?? []), ...missing]));
  }
  return [...lacking].map(([policy, missing]) => ({
    severity: 'warning',
    what: `the guard of policy ${policy} does not see its requests by push: Envoy's stats_matcher drops ${[...missing].join(', ')}`,
    fix: `in Istio the annotation that "bearerd generate istio" prints (proxyStatsMatcher), else stats_config of the bootstrap; Envoy reads it at its start`,
  }));
}

/** By the bootstrap's stats_config.stats_matcher; without one everything is kept. */
function isKept(name: string, { objects }: EnvoyState): boolean {
  const matcher = objects
    .map(({ object }) => json(object['stats_matcher']))
    .find((one) => Object.keys(one).length > 0);
  if (matcher === undefined) return true;
  const matches = (which: string) =>
    list(json(matcher[which])['patterns']).some((one) => isMatch(name, json(one)));
  if ('inclusion_list' in matcher) return matches('inclusion_list');
  return matcher['reject_all'] !== true && !matches('exclusion_list');
}

/** A StringMatcher (type.matcher.v3). */
function isMatch(whole: string, pattern: Readonly<Record<string, unknown>>): boolean {
  const ignore = pattern['ignore_case'] === true;
  const fold = (text: unknown) => (ignore ? String(text).toLowerCase() : String(text));
  const name = fold(whole);
  if ('exact' in pattern) return name === fold(pattern['exact']);
  if ('prefix' in pattern) return name.startsWith(fold(pattern['prefix']));
  if ('suffix' in pattern) return name.endsWith(fold(pattern['suffix']));
  if ('contains' in pattern) return name.includes(fold(pattern['contains']));
  try {
    return RE2JS.compile(String(json(pattern['safe_regex'])['regex'])).matches(whole);
  } catch {
    return true;
  }
}
