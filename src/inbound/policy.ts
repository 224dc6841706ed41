// What one inbound policy demands of a verified caller, compiled to checks that run for every request.
import { BlockList, isIPv6 } from 'node:net';
import type { ClaimConditionConfig, InboundConfig, InboundPolicyConfig } from '../config/inbound/config.ts';
import type { RefusalReason } from './refusal.ts';
import type { Roles } from './roles.ts';
import { type Claims, claimAt, type VerifiedToken } from './verified-token.ts';

export interface InboundPolicy {
  readonly index: number;
  readonly name: string;
  readonly config: InboundPolicyConfig;
  /** Positions of issuers whose tokens count. */
  readonly issuers: readonly number[];
  /** For API keys `aud` has no meaning. */
  readonly requirements: readonly Requirement[];
  isPeer(uris: readonly string[]): boolean;
  isFromNetwork(address: string): boolean;
}

export interface Requirement {
  readonly reason: RefusalReason;
  /** Parameters of the challenge beside realm and error (RFC 6750 section 3, RFC 9470 section 3). */
  readonly parameters: string;
  /** `now`: epoch milliseconds. */
  holds(token: VerifiedToken, now: number): boolean;
}

export function compileInboundPolicies(config: InboundConfig, roles: Roles): readonly InboundPolicy[] {
  return config.policies.map((policy, index) => {
    const { networks, peers } = policy;
    const blocks = networks && blockList(networks);
    return {
      index,
      name: policy.name,
      config: policy,
      issuers: policy.issuers.map((name) => config.issuers.findIndex((issuer) => issuer.name === name)),
      requirements: requirements(policy, config, roles),
      isPeer: (uris) => peers === undefined || uris.some((uri) => peers.some((p) => matchUri(p, uri))),
      isFromNetwork: (address) => blocks === undefined || isListed(blocks, address),
    };
  });
}

function requirements(policy: InboundPolicyConfig, config: InboundConfig, roles: Roles): Requirement[] {
  const list: Requirement[] = [];
  const audiences = config.issuers.map(({ audience }) => policy.audience ?? audience);
  list.push({
    reason: 'token_audience',
    parameters: '',
    holds: ({ kind, issuer, audience }) =>
      kind === 'api_key' || audience.some((name) => audiences[issuer]!.includes(name)),
  });
  const stepUp = stepUpParameters(policy);
  const { acr, amr, maxAuthAgeMs } = policy;
  if (acr !== undefined) {
    list.push({
      reason: 'step_up',
      parameters: stepUp,
      holds: ({ claims }) => acr.includes(claims['acr'] as string),
    });
  }
  if (amr !== undefined) {
    list.push({
      reason: 'step_up',
      parameters: stepUp,
      holds: ({ claims }) => {
        const had = claims['amr'];
        return Array.isArray(had) && amr.every((name) => had.includes(name));
      },
    });
  }
  if (maxAuthAgeMs !== undefined) {
    list.push({
      reason: 'step_up',
      parameters: stepUp,
      holds: ({ claims, leewayMs }, now) => {
        const at = claims['auth_time'];
        if (typeof at !== 'number') return false;
        return now - at * 1_000 <= maxAuthAgeMs + leewayMs && at * 1_000 <= now + leewayMs;
      },
    });
  }
  const { scopes, permissions } = policy;
  if (scopes.length > 0) {
    list.push({
      reason: 'scope',
      parameters: `, scope="${scopes.join(' ')}"`,
      holds: (token) => scopes.every((scope) => token.scopes.has(scope)),
    });
  }
  if (permissions.length > 0) {
    list.push({
      reason: 'permission',
      parameters: '',
      holds: (token) => permissions.every((name) => roles.permit(token.roles, name)),
    });
  }
  for (const condition of policy.claims) {
    const test = compileCondition(condition);
    list.push({ reason: 'claim', parameters: '', holds: ({ claims }) => test(claims) });
  }
  return list;
}

/** RFC 9470 section 3: what a new login would have to bring. amr has no parameter there. */
function stepUpParameters({ acr, maxAuthAgeMs }: InboundPolicyConfig): string {
  const values = acr === undefined ? '' : `, acr_values="${acr.join(' ').replace(/["\\]/g, '')}"`;
  return maxAuthAgeMs === undefined ? values : `${values}, max_age="${Math.floor(maxAuthAgeMs / 1_000)}"`;
}

function compileCondition({ claim, test }: ClaimConditionConfig): (claims: Claims) => boolean {
  const at = (claims: Claims) => claimAt(claims, claim);
  switch (test.kind) {
    case 'equals':
      return (claims) => at(claims) === test.value;
    case 'in':
      return (claims) => test.values.includes(at(claims) as string);
    case 'contains':
      return (claims) => {
        const value = at(claims);
        if (Array.isArray(value)) return value.includes(test.value);
        return typeof value === 'string' && value.split(' ').includes(String(test.value));
      };
    case 'prefix':
      return (claims) => {
        const value = at(claims);
        return typeof value === 'string' && value.startsWith(test.value);
      };
    case 'number':
      return (claims) => {
        const value = at(claims);
        return typeof value === 'number' && value >= test.min && value <= test.max;
      };
  }
}

/** `*` at the end stands for anything. The whole text is compared: a NUL or a suffix makes another name. */
function matchUri(pattern: string, uri: string): boolean {
  if (/[\0\s]/.test(uri)) return false;
  return pattern.endsWith('*') ? uri.startsWith(pattern.slice(0, -1)) : uri === pattern;
}

function blockList(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address, bits] = network.split('/') as [string, string];
    list.addSubnet(address, Number(bits), isIPv6(address) ? 'ipv6' : 'ipv4');
  }
  return list;
}

function isListed(list: BlockList, address: string): boolean {
  try {
    return list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
  } catch {
    return false;
  }
}
