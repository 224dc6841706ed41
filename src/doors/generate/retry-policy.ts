// The one table that decides a route's retry policy: Envoy has one per route, and it takes the place of any other.

import type { Config } from '../../config/config.ts';
import { because, type Commented, plain } from '../../lib/commented-yaml.ts';
import { isShared, onlyWhen } from './matcher.ts';
import type { Plan, PlannedPolicy } from './plan.ts';

/**
 * Attempts and waits of a healing route. Each wait is a random draw from zero up to a doubling cap, so several are
 * needed until the new credential is there: five from 0.25 s on lost none of 5,000 requests with a provider that
 * answered in 300 ms; three from 0.1 s on lost some.
 */
const PUSH = { num_retries: 5, base_interval: '0.25s', max_interval: '2.5s' };

/** The new credential is waited for by the next attempt itself, so one is enough and the wait before it none. */
const ATTEMPT = { num_retries: 1, base_interval: '0.001s', max_interval: '0.001s' };

/** Concurrent retries of a cluster. Envoy's default of 3 let the app see 220 of 5,000 refusals that four revocations made. */
export const MAX_RETRIES = 4096;

/** Nothing has reached the upstream yet in these cases, so they are safe for every method. */
const UNSENT = ['connect-failure', 'refused-stream'];

const GRPC_UNAUTHENTICATED = { name: 'grpc-status', string_match: { exact: '16' } };

const INVALID_TOKEN_CHALLENGE = {
  name: 'www-authenticate',
  string_match: { safe_regex: { regex: '(?i).*\\berror="?invalid_token\\b.*' } },
};

/** RFC 9449, section 9. */
const NONCE_CHALLENGE = {
  name: 'www-authenticate',
  string_match: { safe_regex: { regex: '(?i).*\\berror="?use_dpop_nonce\\b.*' } },
};

/** What resilience adds: the upstream may have begun with these, so only where another attempt does no harm. */
const FAILURES = { retryOn: 'reset,retriable-status-codes', statuses: [429, 500, 502, 503, 504] };

/** RFC 9110, section 9.2.2. */
const IDEMPOTENT = ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'];

/** With `retries` the wait of the attempt door serves failures too; these are Envoy's defaults. */
const FAILURE_WAITS = { base_interval: '0.025s', max_interval: '0.25s' };

/** Retry policy of a route; `policy` undefined = a route without a credential of ours. */
export function retryPolicy(policy: PlannedPolicy | undefined): Commented {
  const healing = healingPolicy(policy);
  const { resilience } = policy?.config ?? {};
  if (resilience?.retries === undefined) return healing;
  return because(healing.comment, {
    ...(healing.value as object),
    rate_limited_retry_back_off: because('An upstream that says when to come back is asked then.', {
      reset_headers: [{ name: 'retry-after', format: 'SECONDS' }],
      max_interval: `${resilience.retryAfterMs / 1_000}s`,
    }),
  });
}

/**
 * HTTP filters before the router, one a policy and endpoint with `retries`: Envoy has one retry policy a route, for all
 * methods, and adds to it what these request headers say. The router removes them.
 */
export function retryHints(config: Config, { hosts }: Plan): object[] {
  return hosts.flatMap(({ rules }) => {
    const seen = new Set<string>();
    return rules.flatMap(({ policy, endpoint, afterPathRule }) => {
      const { match, resilience } = policy.config;
      const methods = IDEMPOTENT.filter((method) => match.methods?.includes(method) ?? true);
      const name = `bearerd.retry.${policy.name}.${endpoint.port ?? 'any'}`;
      if (resilience?.retries === undefined || methods.length === 0 || seen.has(name)) return [];
      seen.add(name);
      const { num_retries } = plain(healingPolicy(policy)) as { readonly num_retries: number };
      const refuseAmbiguousPath = afterPathRule && config.ambiguousPath !== 'exact_bytes';
      return onlyWhen(
        { hosts: [endpoint], methods, paths: match.paths, refuseAmbiguousPath, except: [], inShare: false },
        hints(num_retries + resilience.retries),
        name,
      );
    });
  });
}

function hints(attempts: number): { name: string; typed_config: unknown } {
  const headers = {
    'x-envoy-retry-on': FAILURES.retryOn,
    'x-envoy-retriable-status-codes': FAILURES.statuses.join(','),
    'x-envoy-max-retries': String(attempts),
  };
  return {
    name: 'envoy.filters.http.header_mutation',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation',
      mutations: {
        request_mutations: Object.entries(headers).map(([key, value]) => ({
          append: { header: { key, value }, append_action: 'ADD_IF_ABSENT' },
        })),
      },
    },
  };
}

function healingPolicy(policy: PlannedPolicy | undefined): Commented {
  if (policy === undefined) return because('No credential of ours: a refusal is the app’s to see.', once());
  if (policy.door === 'check') {
    return because(
      'The check runs once a request, so a retry would carry the refused credential again.',
      once(),
    );
  }
  if (policy.door === 'push' && isShared(policy.config)) {
    return because(
      'In force in a share of the pods: a retry would also repeat refusals of what the app itself sent in the others.',
      once(),
    );
  }
  switch (policy.config.healOn) {
    case 'off':
      if (policy.config.proof?.dpop) {
        return because('heal_on: off: a refusal is the app’s to see, but for one that asks for a nonce.', {
          retry_on: [...UNSENT, 'retriable-headers'].join(','),
          retriable_headers: [NONCE_CHALLENGE],
          ...waits(policy),
        });
      }
      return because('heal_on: off: a refusal is the app’s to see.', once());
    case '401':
      return because(
        [
          policy.door === 'push'
            ? 'A refused request is sent again with the credential that was pushed meanwhile. gRPC upstreams refuse with'
            : 'A refused request is sent again with a new credential. gRPC upstreams refuse with',
          'HTTP 200 and grpc-status 16: seen when it comes without a message before it (trailers-only).',
          'Envoy replays a body only up to its buffer limit; a larger one is not healed, the next request is.',
        ].join('\n'),
        {
          retry_on: [...UNSENT, 'retriable-status-codes', 'retriable-headers'].join(','),
          retriable_status_codes: [401],
          retriable_headers: [GRPC_UNAUTHENTICATED],
          ...waits(policy),
        },
      );
    case 'invalid_token':
      return because(
        'heal_on: invalid_token: only a challenge that says so, since a 401 may be the app’s own (a wrong password).',
        {
          retry_on: [...UNSENT, 'retriable-headers'].join(','),
          retriable_headers: [
            INVALID_TOKEN_CHALLENGE,
            ...(policy.config.proof?.dpop ? [NONCE_CHALLENGE] : []),
          ],
          ...waits(policy),
        },
      );
  }
}

function once(): object {
  return { retry_on: UNSENT.join(','), num_retries: 1 };
}

function waits({ door, config }: PlannedPolicy): object {
  const table = door === 'push' ? PUSH : ATTEMPT;
  const { base_interval, max_interval } =
    door === 'attempt' && config.resilience?.retries !== undefined ? FAILURE_WAITS : table;
  const num_retries = config.proof?.dpop ? table.num_retries + 1 : table.num_retries;
  return {
    num_retries: because(
      door === 'push'
        ? 'Each wait is drawn from zero up to a doubling cap: five in a row outlast a provider that answers in 300 ms.'
        : config.proof?.dpop
          ? 'The next attempt waits in bearerd until the new credential is there; one more for a nonce that is asked for.'
          : 'The next attempt waits in bearerd until the new credential is there.',
      num_retries,
    ),
    retry_back_off: { base_interval, max_interval },
  };
}
