// From the file's words to the program's, for a policy for outgoing requests.
import type { OutboundConfig, SourceConfig } from './config.ts';
import type { ConfigFile } from './schema.ts';
import type { InjectConfig } from './schema-inject.ts';
import { isBoundByDpop, toMessageSignature } from './schema-proof.ts';
import { kinds } from './source/kinds.ts';

type FilePolicy = ConfigFile['outbound'][number];

/** `source`: the one that it injects of; undefined = it denies. `path`: of a relative path in the policy. */
export function toOutbound(
  policy: FilePolicy,
  source: SourceConfig | undefined,
  path: (relative: string) => string,
): OutboundConfig {
  const { name, match, heal_on, on_failure, never_stale, upstream_url, sign } = policy;
  const dpop = source !== undefined && isBoundByDpop(source);
  const plain = injected(policy.inject, source);
  const inject = dpop ? withDpopScheme(plain) : plain;
  return {
    name,
    match,
    inject,
    deny: policy.deny,
    environment: policy.environment,
    owner: policy.owner,
    subject: source?.type === 'token_exchange' ? source.subject : undefined,
    rollout: policy.mode,
    healOn: heal_on ?? (source !== undefined && kinds[source.type].renewable ? '401' : 'off'),
    onFailure: on_failure,
    proof:
      dpop || sign !== undefined
        ? {
            upstreamUrl: upstream_url!, // checks.ts sees to it
            dpop,
            sign: sign && toMessageSignature(sign, inject.headers[0]?.name, path),
          }
        : undefined,
    neverStale: never_stale,
    rateLimit: policy.rate_limit?.rateLimit,
    bodyLimit: policy.rate_limit?.bodyLimit,
    guard: policy.guard,
    resilience: policy.resilience,
    allowPlaintext: policy.allow_plaintext,
  };
}

/** Of a policy that denies. No source has such a name. */
const NOTHING: InjectConfig = { source: '', headers: [], query: undefined };

function injected(stated: FilePolicy['inject'], source: SourceConfig | undefined): InjectConfig {
  if (stated === undefined || source === undefined) return NOTHING;
  return { source: source.name, headers: stated.headers, query: stated.query };
}

/** RFC 9449, section 7.1: a token that is bound goes with the scheme DPoP, never Bearer. */
function withDpopScheme(inject: InjectConfig): InjectConfig {
  const headers = inject.headers.map((header) =>
    header.name === 'authorization' && header.prefix === 'Bearer ' ? { ...header, prefix: 'DPoP ' } : header,
  );
  return { ...inject, headers };
}
