// What the push door cannot serve, and why. Envoy decides alone there, from a secret that it keeps while bearerd is away.
import type { Config, OutboundConfig } from '../../config/config.ts';
import { proofRefusal } from './check-refusals.ts';
import { reachingQuery } from './expressions.ts';

/** Reasons against serving this policy by push, each with the way out; empty = it can be. */
export function pushRefusals(config: Config, policy: OutboundConfig): readonly string[] {
  const where = `outbound.${policy.name}`;
  if (policy.deny !== undefined) {
    return [`${where}.deny cannot be served by push, where bearerd sees no request; use the check door`];
  }
  const reasons: string[] = [];
  if (policy.subject !== undefined) {
    reasons.push(
      `${where} cannot be served by push, where every request gets the same credential: that of ${policy.inject.source} depends on the header ${policy.subject.token}; use the check or attempt door`,
    );
  }
  if (policy.proof !== undefined) reasons.push(proofRefusal(policy, 'push'));
  if (policy.inject.query !== undefined) {
    reasons.push(
      `${where}.inject.query cannot be served by push, where Envoy sets headers only; use the check door`,
    );
  }
  if (policy.onFailure === 'pass') {
    reasons.push(
      `${where}.on_failure: pass cannot be served by push, where a missing credential ends the request; use deny or the check door`,
    );
  }
  if (policy.rateLimit !== undefined) {
    reasons.push(
      `${where}.rate_limit cannot be served by push, where bearerd sees no request; use the check door`,
    );
  }
  if (policy.rollout.by !== undefined) {
    reasons.push(
      `${where}.mode.by cannot be served by push, where a share is of pods, each with all its requests; leave by out or use the check or attempt door until the policy is enforced`,
    );
  }
  if (policy.guard !== undefined && config.envoyAdmin === undefined) {
    reasons.push(
      `${where}.guard cannot be served by push without envoy_admin, whose statistics alone tell how many requests there were; state it, or use the check or attempt door`,
    );
  }
  if (policy.neverStale) {
    reasons.push(
      `${where}.never_stale: true cannot be served by push, where Envoy keeps the last credential while bearerd is away; use the check door`,
    );
  }
  if (!config.listen.xds.some((x) => x.sources === undefined || x.sources.includes(policy.inject.source))) {
    reasons.push(
      `${where} needs an entry of listen.xds that serves the secrets of source ${policy.inject.source}; there is none`,
    );
  }
  for (const regex of reachingQuery(policy.match.paths)) {
    reasons.push(
      `${where}.match.paths: regex ${regex} cannot be served by push, where it could match into the query; write [^?/] for . or use the check door`,
    );
  }
  return reasons;
}

/** Reasons against the push door as the only one. */
export function pushOnlyRefusals(config: Config): readonly string[] {
  const whole =
    config.unmatched === 'deny'
      ? [
          'unmatched: deny cannot be served by push, which never sees a request without a policy; use check or both',
        ]
      : [];
  return [...whole, ...config.outbound.flatMap((policy) => pushRefusals(config, policy))];
}
