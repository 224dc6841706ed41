// What spans several keys of the policies for outgoing requests.
import type { Report } from './problems.ts';
import type { ConfigFile } from './schema.ts';
import { isBoundByDpop } from './schema-proof.ts';
import { kindOf } from './source/kinds.ts';
import type { Path } from './yaml-document.ts';

/** Regular expressions cost time for every request of their host. */
const MAX_REGEXES_PER_HOST = 100;

export function outboundProblems(file: ConfigFile, report: Report): void {
  policies(file, report);
  denials(file, report);
  bodyLimits(file, report);
  guards(file, report);
  regexes(file, report);
}

function policies({ sources, outbound }: ConfigFile, report: Report): void {
  outbound.forEach((policy, i) => {
    if (policy.inject === undefined || !Object.hasOwn(sources, policy.inject.source)) return;
    proofs(sources[policy.inject.source]!, policy, ['outbound', i], report);
  });
}

/** What is said of a credential has no meaning where there is none. */
function denials({ outbound, listen, ambiguous_path: ambiguousPath }: ConfigFile, report: Report): void {
  outbound.forEach((policy, i) => {
    if (policy.deny === undefined) return;
    const at: Path = ['outbound', i];
    const stated = {
      upstream_url: policy.upstream_url !== undefined,
      sign: policy.sign !== undefined,
      heal_on: policy.heal_on !== undefined,
      on_failure: policy.on_failure === 'pass',
      rate_limit: policy.rate_limit !== undefined,
      guard: policy.guard !== undefined,
      resilience: policy.resilience !== undefined,
      allow_plaintext: policy.allow_plaintext,
      never_stale: policy.never_stale,
    };
    for (const [key, is] of Object.entries(stated)) {
      if (is) report([...at, key], 'does not go with deny: no request of the policy reaches an upstream');
    }
    if (policy.mode.percent !== undefined) {
      report([...at, 'mode'], 'a denial is in force for all: expected off, shadow or enforce');
    }
    if (policy.match.paths !== undefined && ambiguousPath === 'no_match') {
      report(
        [...at, 'match', 'paths'],
        'a denial by path needs ambiguous_path: deny: else //admin passes by one of /admin (or exact_bytes, where upstreams read paths byte by byte)',
      );
    }
    if (listen.check === undefined) {
      report([...at, 'deny'], 'needs listen.check: push sees no request that it could refuse');
    }
  });
}

/** Whether this pod is in a share is known to bearerd alone. */
function bodyLimits({ outbound }: ConfigFile, report: Report): void {
  outbound.forEach(({ rate_limit: limit, mode }, i) => {
    if (limit?.bodyLimit === undefined || mode.percent === undefined) return;
    report(
      ['outbound', i, 'rate_limit', 'key'],
      'is counted by Envoy, which knows no share of a policy: expected mode: off, shadow or enforce',
    );
  });
}

/** Without totals of its requests nobody could tell a fault from a rate of it. */
function guards({ listen, outbound, envoy_admin: envoyAdmin }: ConfigFile, report: Report): void {
  if (listen.check !== undefined || envoyAdmin !== undefined) return;
  outbound.forEach(({ name, guard }, i) => {
    if (guard === undefined) return;
    report(
      ['outbound', i, 'guard'],
      `${name} is served by push alone, whose requests only Envoy counts: state envoy_admin, e.g. 127.0.0.1:15000, or listen.check`,
    );
  });
}

function proofs(
  source: ConfigFile['sources'][string],
  { sign, upstream_url: upstreamUrl }: ConfigFile['outbound'][number],
  at: Path,
  report: Report,
): void {
  const dpop = isBoundByDpop(source[kindOf(source)]!);
  if (upstreamUrl !== undefined) {
    if (!dpop && sign === undefined)
      report([...at, 'upstream_url'], 'is for DPoP and sign; there is neither');
    return;
  }
  const url = 'upstream_url is missing: https://HOST as the upstream knows itself';
  if (sign !== undefined) report([...at, 'sign'], `${url}, which is signed`);
  else if (dpop) report(at, `${url}, since the source proves its tokens by DPoP`);
}

function regexes({ outbound }: ConfigFile, report: Report): void {
  const byHost = new Map<string, { count: number; last: number }>();
  outbound.forEach(({ match: { paths, hosts } }, i) => {
    const here = paths?.filter(({ kind }) => kind === 'regex').length ?? 0;
    if (here === 0) return;
    for (const host of new Set(hosts.map(({ name, wildcard }) => (wildcard ? `*.${name}` : name)))) {
      byHost.set(host, { count: (byHost.get(host)?.count ?? 0) + here, last: i });
    }
  });
  for (const [host, { last }] of byHost) {
    // What is tried for a request to it: its own, and those of every wildcard above it.
    const labels = host.split('.');
    const covering = [host, ...labels.slice(1).map((_, at) => `*.${labels.slice(at + 1).join('.')}`)];
    const sum = [...new Set(covering)].reduce((total, one) => total + (byHost.get(one)?.count ?? 0), 0);
    if (sum > MAX_REGEXES_PER_HOST) {
      report(
        ['outbound', last, 'match', 'paths'],
        `more than ${MAX_REGEXES_PER_HOST} regular expressions for the host ${host}; use prefixes where they do`,
      );
    }
  }
}
