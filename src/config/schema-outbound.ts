// The schema of a policy: which requests get which credential, or are refused.
import * as z from 'zod';
import { deny } from './deny.ts';
import { parseHeaderName } from './header.ts';
import { expandService, type HostPattern, parseHostPattern } from './host-pattern.ts';
import { refuse } from './invalid.ts';
import { parsePathRegex, parsePathRule } from './path-rule.ts';
import { outboundRateLimit } from './rate-limit.ts';
import { guard } from './schema-guard.ts';
import { inject } from './schema-inject.ts';
import { sign, upstreamUrl } from './schema-proof.ts';
import { resilience } from './schema-resilience.ts';
import { environment, exactlyOne, nameText, oneOfKeys, owner, parsed } from './schema-values.ts';

export const host = parsed(z.string(), parseHostPattern).describe(
  'Exact (orders.example.com) or every name below one ("*.example.com"), with :port for that port only.',
);

const service = parsed(z.string(), expandService).describe(
  'SERVICE.NAMESPACE of Kubernetes, with :port or without: orders.prod, orders.prod.svc and orders.prod.svc.cluster.local.',
);

export const method = parsed(z.string(), (text) =>
  /^[A-Za-z]+$/.test(text) ? text.toUpperCase() : refuse(`expected a method such as GET, got "${text}"`),
);

export const path = z.union(
  [
    parsed(z.string(), (text) => parsePathRule('prefix', text)).describe(
      'Prefix at segment borders: /v1/ covers /v1 and /v1/orders, never /v10.',
    ),
    z
      .strictObject({
        exact: parsed(z.string(), (text) => parsePathRule('exact', text)).optional(),
        regex: parsed(z.string(), parsePathRegex).optional(),
      })
      .meta({ minProperties: 1, maxProperties: 1 })
      .transform(({ exact, regex }, context) => {
        if ((exact === undefined) !== (regex === undefined)) return (exact ?? regex)!;
        context.issues.push({
          code: 'custom',
          message: 'expected exactly one of exact and regex',
          input: exact,
        });
        return z.NEVER;
      }),
  ],
  { error: 'expected a prefix such as /v1/, { exact: /path } or { regex: ... }' },
);

const match = z
  .strictObject({
    hosts: z.array(host).min(1).optional().describe('Hosts as the app names them, without regard to case.'),
    services: z
      .array(service)
      .min(1)
      .optional()
      .describe('Services of Kubernetes, in all their short forms.'),
    methods: z.array(method).min(1).optional().describe('Default: every method.'),
    paths: z
      .array(path)
      .min(1)
      .optional()
      .describe(
        'A text is a prefix at segment borders; also { exact: /path }, and { regex: RE2 } on the whole path, tried last. Never the query. Default: every path.',
      ),
  })
  .check(({ value, issues }) => {
    if (value.hosts !== undefined || value.services !== undefined) return;
    issues.push({ code: 'custom', message: 'expected at least one of hosts and services', input: value });
  })
  .meta({
    description: 'Which requests, as the app sends them. At least one of hosts and services.',
    anyOf: [{ required: ['hosts'] }, { required: ['services'] }],
  })
  .transform(({ hosts, services, methods, paths }) => ({
    hosts: distinct([...(hosts ?? []), ...(services ?? []).flat()]),
    methods: methods && [...new Set(methods)],
    paths,
  }));

/** How far a policy is in force. */
export interface RolloutConfig {
  readonly mode: 'off' | 'shadow' | 'enforce';
  /** Of the pods, or of the values of the header `by`; undefined = all. */
  readonly percent: number | undefined;
  /** Lower case. */
  readonly by: string | undefined;
}

const MODES = 'expected off, shadow, enforce or { percent: 25 }';

const mode = z
  .union(
    [
      // YAML reads off as false.
      z.literal(['off', false, 'shadow', 'enforce'], { error: MODES }).transform(
        (value): RolloutConfig => ({
          mode: value === false ? 'off' : value,
          percent: undefined,
          by: undefined,
        }),
      ),
      z
        .strictObject({
          percent: z.number().min(0).max(100).describe('Of the pods, or of the values of the header `by`.'),
          by: parsed(z.string(), parseHeaderName)
            .optional()
            .describe('A header whose value decides, e.g. x-user-id. Default: the whole pod is in or out.'),
        })
        .transform(({ percent, by }): RolloutConfig => ({ mode: 'enforce', percent, by })),
    ],
    { error: MODES },
  )
  .prefault('enforce')
  .describe(
    'How far the policy is in force: enforce; { percent: 25 } for a share, the same each time; shadow decides and counts and changes nothing; off as if it were not there. Default enforce.',
  );

export const outbound = z
  .strictObject({
    name: nameText('policy').describe('Unique; stands in logs, metrics and the Envoy configuration.'),
    match,
    inject: inject.optional(),
    deny: deny.optional(),
    mode,
    environment: environment.optional(),
    owner: owner.optional(),
    upstream_url: upstreamUrl,
    sign,
    heal_on: z
      // YAML reads 401 as a number, and older YAML reads off as false.
      .literal([401, '401', 'invalid_token', 'off', false], { error: 'expected 401, invalid_token or off' })
      .transform((value) => (value === false ? 'off' : value === 401 ? '401' : value))
      .optional()
      .describe(
        'Which refusals of the upstream renew the credential: 401, invalid_token (only a challenge that says so) or off. Default 401; off for static and file sources.',
      ),
    on_failure: z
      .enum(['deny', 'pass'])
      .default('deny')
      .describe(
        'Without a credential: deny answers 503 with a reason, pass lets the request go on without the app’s own header. Default deny.',
      ),
    rate_limit: outboundRateLimit,
    guard,
    resilience,
    allow_plaintext: z
      .boolean()
      .default(false)
      .describe(
        'The credential may leave Envoy without TLS, since something else encrypts or the network is trusted. Default false: generate refuses it beyond loopback, doctor tells it, the attempt door holds the credential back.',
      ),
    never_stale: z
      .boolean()
      .default(false)
      .describe(
        'Refuses the push door, where Envoy keeps a credential past its expiry while bearerd is away. Default false.',
      ),
  })
  .check(exactlyOne('inject', 'deny'))
  .meta(oneOfKeys('inject', 'deny'))
  .describe('One policy: which requests get which credential, or are refused.');

function distinct(patterns: readonly HostPattern[]): readonly HostPattern[] {
  return [...new Map(patterns.map((p) => [JSON.stringify([p.name, p.wildcard, p.port ?? 0]), p])).values()];
}
