// Rate limits by a value in the JSON body, for both sides. Envoy alone sees bodies, so it reads the value (json_to_metadata)
// and counts (local_ratelimit); bearerd has no part in it while requests run.
import type { BodyLimitConfig, Config, HostPattern } from '../../config/config.ts';
import type { InboundConfig } from '../../config/inbound/config.ts';
import { because } from '../../lib/commented-yaml.ts';
import type { BucketSize } from '../../lib/token-bucket.ts';
import { type Authority, reachingQuery } from './expressions.ts';
import { type Filter, onlyWhen } from './matcher.ts';
import { isWatching } from './plan.ts';
import { haveHostInCommon, type Taking, triedBefore } from './tried-before.ts';

const FILTERS = 'type.googleapis.com/envoy.extensions.filters.http';
const NAMESPACE = 'bearerd.body';

/** RFC 6839 section 3.1 beside application/json, with parameters. */
const JSON_TYPE = '(?i)application/([a-z0-9.-]+\\+)?json\\s*(;.*)?';

/** A policy of either side, as far as a limit needs it. */
interface Limited extends Taking {
  readonly name: string;
  readonly bodyLimit?: BodyLimitConfig | undefined;
  /** A policy that changes nothing limits none. */
  readonly limits: boolean;
}

/** Of the statistics by which Envoy counts the policy's limit. */
export const bodyLimitName = (policy: string): string => `limit_${policy}`;

/** HTTP filters of one side. */
export interface BodyLimits {
  /**
   * Before every other filter: it bounds the body, and a body of which another filter has held back more than it may have
   * would wait for ever (seen on Envoy 1.36.2, 1.37.0 and 1.40.0).
   */
  readonly hold: readonly object[];
  /** Outbound before the check, so that no credential is used; inbound behind it, so that only who was let in counts. */
  readonly count: readonly object[];
}

export function outboundBodyLimits(config: Config): BodyLimits {
  return bodyLimits(outboundLimited(config), config.ambiguousPath !== 'exact_bytes');
}

/** Inbound two parsers agree on every path that gets so far. */
export function inboundBodyLimits(inbound: InboundConfig): BodyLimits {
  return bodyLimits(inboundLimited(inbound), false);
}

/** Why a limit cannot be generated, each with the way out. */
export function outboundBodyRefusals(config: Config): readonly string[] {
  return outboundLimited(config).flatMap((policy, i, all) =>
    queryRefusals(policy, () => triedBefore(all, i), `outbound.${policy.name}`),
  );
}

export function inboundBodyRefusals(inbound: InboundConfig): readonly string[] {
  return inboundLimited(inbound).flatMap((policy, i, all) => {
    const where = `inbound policy ${policy.name}`;
    const port = policy.bodyLimit && policy.match.hosts?.find((host) => host.port !== undefined)?.port;
    return [
      ...queryRefusals(policy, () => triedBefore(all, i), where),
      ...(port === undefined
        ? []
        : [
            `${where} has hosts with the port ${port} and rate_limit.key.body: leave ports out, Envoy has the listener's`,
          ]),
    ];
  });
}

/** A regular expression of its own would limit requests that are none of its own, one before it would be passed over. */
function queryRefusals(policy: Limited, earlier: () => readonly Limited[], where: string): string[] {
  if (policy.bodyLimit === undefined) return [];
  const fix = 'could match into the query in Envoy; write [^?/] for .';
  return [
    ...reachingQuery(policy.match.paths).map(
      (regex) => `${where} has rate_limit.key.body: regex ${regex} ${fix}`,
    ),
    ...earlier()
      .flatMap((one) => reachingQuery(one.match.paths).map((regex) => ({ regex, name: one.name })))
      .map(
        ({ regex, name }) =>
          `${where} has rate_limit.key.body, and its host is one of ${name}, before it: regex ${regex} of ${name} ${fix}`,
      ),
  ];
}

function outboundLimited({ outbound }: Config): Limited[] {
  return outbound.map((policy) => ({
    ...policy,
    takes: policy.rollout.mode !== 'off' && !isWatching(policy),
    limits: policy.rollout.mode === 'enforce',
  }));
}

function inboundLimited({ policies }: InboundConfig): Limited[] {
  return policies.map((policy) => ({ ...policy, takes: true, limits: policy.mode === 'enforce' }));
}

function bodyLimits(policies: readonly Limited[], refuseAmbiguous: boolean): BodyLimits {
  const hold: object[] = [];
  const count: object[] = [];
  policies.forEach((policy, i) => {
    const { name, bodyLimit, limits } = policy;
    if (bodyLimit === undefined || !limits) return;
    // The first match wins: what an earlier policy covers is not counted here.
    const earlier = triedBefore(policies, i);
    if (earlier.some(isEverything)) return;
    const rules = {
      ...rulesOf(policy),
      except: earlier.map(rulesOf),
      refuseAmbiguousPath:
        refuseAmbiguous &&
        policies
          .slice(0, i + 1)
          .some((one) => one.takes && one.match.paths !== undefined && haveHostInCommon(one, policy)),
      inShare: false,
    };
    const only = (filter: Filter) =>
      onlyWhen(rules, filter, `bearerd.${filter.name.split('.').at(-1)}.${name}`);
    hold.push(only(wholeBody(bodyLimit)));
    count.push(only(valueOfBody(name, bodyLimit)), only(counted(name, bodyLimit)));
  });
  return { hold, count };
}

function isEverything({ match: { hosts, methods, paths } }: Limited): boolean {
  return hosts === undefined && methods === undefined && paths === undefined;
}

function rulesOf({ match: { hosts, methods, paths } }: Limited) {
  return { hosts: hosts?.map(authorityOf), methods, paths };
}

function authorityOf({ name, wildcard, port }: HostPattern): Authority {
  return { names: [name], wildcard, port };
}

/** json_to_metadata waits for the end of the body anyway. */
function wholeBody({ maxBodyBytes }: BodyLimitConfig) {
  return {
    name: 'envoy.filters.http.buffer',
    typed_config: { '@type': `${FILTERS}.buffer.v3.Buffer`, max_request_bytes: maxBodyBytes },
  };
}

function valueOfBody(policy: string, { keys }: BodyLimitConfig) {
  const target = { metadata_namespace: NAMESPACE, key: policy };
  return {
    name: 'envoy.filters.http.json_to_metadata',
    typed_config: {
      '@type': `${FILTERS}.json_to_metadata.v3.JsonToMetadata`,
      request_rules: {
        allow_content_types_regex: because(
          'By itself it takes application/json and nothing with a parameter.',
          {
            regex: JSON_TYPE,
          },
        ),
        rules: [
          {
            selectors: keys.map((key) => ({ key })),
            on_present: target,
            // Envoy wants them. Empty is no value: such requests share the bucket below.
            on_missing: { ...target, value: '' },
            on_error: { ...target, value: '' },
          },
        ],
      },
    },
  };
}

function counted(policy: string, limit: BodyLimitConfig) {
  const { values, maxValues } = limit;
  return {
    name: 'envoy.filters.http.local_ratelimit',
    typed_config: {
      '@type': `${FILTERS}.local_ratelimit.v3.LocalRateLimit`,
      stat_prefix: bodyLimitName(policy),
      filter_enabled: { default_value: { numerator: 100 } },
      filter_enforced: { default_value: { numerator: 100 } },
      token_bucket: because(
        'Shared by all requests without such a value: no JSON, another content type, no such key, no text there.',
        bucket(limit),
      ),
      always_consume_default_token_bucket: false,
      max_dynamic_descriptors: maxValues,
      rate_limits: [
        {
          actions: [
            {
              metadata: {
                descriptor_key: policy,
                source: 'DYNAMIC',
                metadata_key: { key: NAMESPACE, path: [{ key: policy }] },
              },
            },
          ],
        },
      ],
      descriptors: [
        ...Object.entries(values).map(([value, size]) => ({
          entries: [{ key: policy, value }],
          token_bucket: bucket(size),
        })),
        because('Any other value: a bucket of its own each.', {
          entries: [{ key: policy }],
          token_bucket: bucket(limit),
        }),
      ],
      response_headers_to_add: answered(policy, limit).map(([key, value]) => ({
        header: { key, value },
        append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
      })),
    },
  };
}

function bucket({ requests, perMs, burst }: BucketSize): object {
  return { max_tokens: burst, tokens_per_fill: requests, fill_interval: `${perMs / 1_000}s` };
}

/** Of the 429 alone, so that an upstream's own stay. Fixed, hence the longest wait for one more request. */
function answered(
  policy: string,
  { values, ...own }: BodyLimitConfig,
): readonly (readonly [string, string])[] {
  const sizes = [own, ...Object.values(values)];
  const waits = sizes.map(({ requests, perMs }) => Math.ceil(perMs / requests / 1_000));
  const seconds = Math.max(1, ...waits);
  return [
    ['retry-after', String(seconds)],
    ['ratelimit', `"${policy}";r=0;t=${seconds}`],
    ['x-bearerd-reason', 'rate_limited'],
  ];
}
