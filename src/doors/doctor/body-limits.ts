// Limits by the body that Envoy does not count, or counts by other numbers: bearerd would never notice. Pure.
import type { Config } from '../../config/config.ts';
import { json } from '../envoy-json.ts';
import { bodyLimitName } from '../generate/body-limits.ts';
import { type EnvoyState, ofType } from './envoy-state.ts';
import type { Finding } from './finding.ts';

export function bodyLimits({ outbound }: Config, state: EnvoyState): Finding[] {
  const counted = new Map(
    ofType(state, 'local_ratelimit.v3.LocalRateLimit').map(({ object }) => [
      String(object['stat_prefix']),
      json(object['token_bucket']),
    ]),
  );
  return outbound.flatMap(({ name, bodyLimit, rollout }): Finding[] => {
    if (bodyLimit === undefined || rollout.mode !== 'enforce') return [];
    const bucket = counted.get(bodyLimitName(name));
    const what =
      bucket === undefined
        ? 'Envoy does not count it'
        : bucket['max_tokens'] !== bodyLimit.burst || bucket['tokens_per_fill'] !== bodyLimit.requests
          ? 'Envoy counts by other numbers'
          : undefined;
    if (what === undefined) return [];
    return [
      {
        severity: 'error',
        what: `policy ${name} has a rate_limit by the body, and ${what}`,
        fix: 'apply what "bearerd generate" writes for this configuration: only Envoy sees bodies',
      },
    ];
  });
}
