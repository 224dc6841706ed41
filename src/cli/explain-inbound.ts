// bearerd explain --side inbound: which policy decides on an incoming request, and what it asks for.
import type { Config } from '../config/config.ts';
import { durationSetting } from '../config/duration.ts';
import type { ClaimConditionConfig, InboundConfig, InboundPolicyConfig } from '../config/inbound/config.ts';
import { createRouteTable } from '../policy/route-table.ts';
import { bodyLimitText, bucketText } from './rate-limit-text.ts';

export function inboundExplanation(
  config: Config,
  method: string,
  scheme: string,
  host: string,
  path: string,
): string {
  const lines: [string, string][] = [['request', `${method} ${scheme}://${host}${path.split('?', 1)[0]}`]];
  const { inbound } = config;
  if (inbound === undefined) {
    lines.push(['decision', 'not asked: the configuration has no inbound']);
  } else {
    const policies = inbound.policies.map((policy, index) => ({ index, policy }));
    const table = createRouteTable(
      policies.map((policy) => ({ policy, match: policy.policy.match })),
      'deny_always',
    );
    const found = table.match(host, method, path, scheme);
    if (found === 'ambiguous_path') {
      lines.push(['decision', `400: two parsers may read this path differently${told(inbound.mode)}`]);
    } else if (found === undefined) {
      lines.push(
        ['policy', 'none matches'],
        ['decision', `403: what no policy lets in is refused${told(inbound.mode)}`],
      );
    } else {
      lines.push(['policy', `${found.policy.name} (inbound.policies[${found.index}])`]);
      if (found.policy.mode === 'shadow') lines.push(['mode', 'shadow: nobody is refused, it is only told']);
      lines.push(...demands(found.policy, inbound));
    }
  }
  return lines.map(([key, value]) => `${key.padEnd(12)} ${value}\n`).join('');
}

const told = (mode: InboundConfig['mode']) => (mode === 'shadow' ? ' (shadow: only told)' : '');

function demands(policy: InboundPolicyConfig, inbound: InboundConfig): [string, string][] {
  const lines: [string, string][] = [];
  const add = (key: string, value: string | undefined | false) => {
    if (value) lines.push([key, value]);
  };
  add('tls', policy.requireTls && 'demanded');
  add('networks', policy.networks?.join(', '));
  add('peers', policy.peers?.join(', '));
  if (policy.anonymous) add('credential', 'none is asked for');
  for (const name of policy.issuers) {
    const issuer = inbound.issuers.find((candidate) => candidate.name === name)!;
    const audience = (policy.audience ?? issuer.audience).join(' or ');
    add('credential', `token of ${name} (${issuer.kind}), for ${audience}`);
  }
  add('', policy.apiKeys && `API key in ${inbound.apiKeys!.header}`);
  add('scopes', policy.scopes.join(' and '));
  add('permissions', policy.permissions.join(' and '));
  for (const condition of policy.claims) add('claim', conditionText(condition));
  add('acr', policy.acr?.join(' or '));
  add('amr', policy.amr?.join(' and '));
  add('max_auth_age', policy.maxAuthAgeMs !== undefined && durationSetting(policy.maxAuthAgeMs));
  add('bound', policy.bound && (policy.bound === 'either' ? 'mtls or dpop' : policy.bound));
  add('signature', policy.signature && `covers ${policy.signature.components.join(', ')}`);
  const { rateLimit, bodyLimit } = policy;
  add('rate_limit', rateLimit && bucketText(rateLimit));
  add('rate_limit', bodyLimit && bodyLimitText(bodyLimit));
  for (const [header, path] of Object.entries(policy.forward)) {
    add('forwards', `${header}: [claim ${path.join('/')}]; the caller's own is removed`);
  }
  add('token', tokenText(policy));
  return lines;
}

function tokenText({ token }: InboundPolicyConfig): string | undefined {
  if (typeof token === 'object') return `exchanged at the source ${token.exchange}: the app gets that one`;
  return token === 'remove' ? 'removed before the app' : undefined;
}

function conditionText({ claim, test }: ClaimConditionConfig): string {
  const name = claim.join('/');
  switch (test.kind) {
    case 'in':
      return `${name} is one of ${test.values.join(', ')}`;
    case 'number':
      return `${name} is from ${test.min} to ${test.max}`;
    default:
      return `${name} ${test.kind} ${test.value}`;
  }
}
