// bearerd explain: what would happen to one request, without sending it and without a token.
import type { Config, GuardConfig, OutboundConfig, ProofConfig, RolloutConfig } from '../config/config.ts';
import { attemptRefusals } from '../doors/generate/attempt-refusals.ts';
import { bestDoor } from '../doors/generate/best-door.ts';
import { checkRefusals } from '../doors/generate/check-refusals.ts';
import { pushRefusals } from '../doors/generate/push-refusals.ts';
import { compilePolicies } from '../policy/compile.ts';
import { parseAskedRequest } from '../policy/outcome.ts';
import type { Policy } from '../policy/policy.ts';
import { namesOf } from '../policy/subject-headers.ts';
import { oneOf, parseArguments, required } from './arguments.ts';
import { BUNDLE_OPTION, loadBundledConfig } from './bundled-config.ts';
import { type Command, UsageError } from './command.ts';
import { inboundExplanation } from './explain-inbound.ts';
import { sharingText } from './explain-sharing.ts';
import { bodyLimitText, bucketText } from './rate-limit-text.ts';

export const explain: Command = {
  help: `Usage: bearerd explain --config FILE [--side outbound|inbound] [--bundle BUNDLE] METHOD URL

Tells which policy, source and door serve a request as the app sends it, and which headers it gets. No credential is
fetched and no token is shown. With --side inbound: which policy decides on a request that comes in, and what it asks for.

Options:
  --config FILE      configuration of bearerd, a file or a directory
  --side SIDE        outbound (default) or inbound
${BUNDLE_OPTION}
Examples:
  bearerd explain --config bearerd.yaml GET http://orders.prod.svc.cluster.local/v1/orders
  bearerd explain --config bearerd.yaml --side inbound POST https://api.example.com/v1/orders

Exit code 0 = told, 1 = the configuration has problems.
`,
  async run(args, context) {
    const { out } = context;
    const parsed = parseArguments(args, ['config', 'side', 'bundle']);
    const [method, url, ...rest] = parsed.positionals;
    if (method === undefined || url === undefined || rest.length > 0)
      throw new UsageError('expected METHOD URL');
    const request = parseAskedRequest(`${method} ${url}`);
    if (request === undefined) {
      throw new UsageError(
        `expected a method and a URL such as http://orders.prod/v1/orders, got "${method} ${url}"`,
      );
    }
    const config = await loadBundledConfig(required(parsed, 'config'), parsed.flags['bundle'], context);
    const side = oneOf('side', parsed.flags['side'] ?? 'outbound', ['outbound', 'inbound']);
    const explain = side === 'inbound' ? inboundExplanation : explanation;
    out(explain(config, request.method, request.scheme, request.host, request.path));
    return 0;
  },
};

function explanation(config: Config, method: string, scheme: string, host: string, path: string): string {
  const table = compilePolicies(config);
  const found = table.match(host, method, path, scheme);
  const lines: [string, string][] = [['request', `${method} ${scheme}://${host}${path.split('?', 1)[0]}`]];
  const watching = table.wouldDeny?.(host, method, path, scheme);
  if (watching !== undefined) {
    lines.push([
      'in shadow',
      `${watching.name} (outbound[${watching.index}]) would answer ${watching.denies}; counted where the check or attempt door is asked`,
    ]);
  }
  if (found === 'ambiguous_path') {
    lines.push(['decision', '400: two parsers may read this path differently (ambiguous_path: deny)']);
  } else if (found === undefined) {
    lines.push(['policy', 'none matches']);
    lines.push([
      'decision',
      config.unmatched === 'deny' ? '403 (unmatched: deny)' : 'passes as it is (unmatched: pass)',
    ]);
  } else if (found.denies !== undefined) {
    lines.push(['policy', `${found.name} (outbound[${found.index}])`]);
    lines.push(['decision', `${found.denies} (deny): nothing of it reaches an upstream`]);
    lines.push(...denyingDoors(config, config.outbound[found.index]!));
  } else {
    const policy = config.outbound[found.index]!;
    const source = config.sources.find(({ name }) => name === found.source)!;
    lines.push(['policy', `${found.name} (outbound[${found.index}])`]);
    lines.push(['source', `${found.source} (${source.type})`]);
    lines.push(['shared', sharingText(config, source)]);
    const credential = `[credential of ${found.source}]`;
    for (const header of found.injection.headers) {
      lines.push(['header', `${header.describe(credential)}; the app's own is replaced`]);
    }
    if (found.injection.query !== undefined) {
      lines.push(['query', `${found.injection.query}=${credential}; the app's own is replaced`]);
    }
    if (found.subject !== undefined) {
      lines.push([
        'subject',
        `of the headers ${namesOf(found.subject).join(', ')}, which never reach the upstream`,
      ]);
    }
    if (policy.proof !== undefined) lines.push(['proof', proofText(policy.proof)]);
    const mode = modeText(policy.rollout);
    if (mode !== undefined) lines.push(['mode', mode]);
    if (policy.guard !== undefined) lines.push(['guard', guardText(policy.guard)]);
    if (policy.resilience?.retries !== undefined) {
      lines.push([
        'resilience',
        `${policy.resilience.retries} more attempts of idempotent requests after a reset, 429, 500, 502, 503 or 504`,
      ]);
    }
    if (policy.rateLimit !== undefined) lines.push(['rate_limit', bucketText(policy.rateLimit)]);
    if (policy.bodyLimit !== undefined) lines.push(['rate_limit', bodyLimitText(policy.bodyLimit)]);
    lines.push(...doors(config, policy, found));
    lines.push(['heal_on', healing(found.healOn)]);
    lines.push([
      'on_failure',
      found.onFailure === 'deny'
        ? 'deny: without a credential 503 with Retry-After and a reason'
        : "pass: without a credential the request goes on, the app's own header removed",
    ]);
  }
  return lines.map(([key, value]) => `${key.padEnd(11)} ${value}\n`).join('');
}

function doors(config: Config, policy: OutboundConfig, { injection }: Policy): [string, string][] {
  const check = [
    ...(config.listen.check === undefined ? ['listen.check is missing'] : []),
    ...checkRefusals([policy]),
  ];
  const names = injection.headers.map(({ secretName }) => `"${secretName}"`).join(' and ');
  const { door, why } = bestDoor(config, policy);
  return [
    ...doorLines('check door', check, ['serves it, one call a request']),
    ...doorLines('push door', pushRefusals(config, policy), [
      `serves it as secret ${names}, no call a request`,
      'while bearerd is away Envoy goes on sending the last credential, even past its expiry',
      ...pushRolloutLines(policy.rollout),
    ]),
    ...doorLines('attempt', attemptRefusals(config, [policy]), [
      'serves it, one call an attempt; a refused request is sent again with a new credential at once',
    ]),
    ['best door', `${door}: ${why}`],
  ];
}

function denyingDoors(config: Config, policy: OutboundConfig): [string, string][] {
  return [
    ...doorLines('check door', [], ['serves it, one call a request, before any of it leaves Envoy']),
    ...doorLines('push door', pushRefusals(config, policy), []),
    ...doorLines('attempt', attemptRefusals(config, [policy]), ['serves it, once a connection is asked for']),
  ];
}

function doorLines(name: string, refusals: readonly string[], serves: readonly string[]): [string, string][] {
  const lines = refusals.length === 0 ? serves : refusals.map((reason) => `no: ${reason}`);
  return lines.map((line, i) => [i === 0 ? name : '', line]);
}

function proofText({ upstreamUrl, dpop, sign }: ProofConfig): string {
  const kinds = [
    ...(dpop ? ['a DPoP proof (RFC 9449)'] : []),
    ...(sign === undefined ? [] : [`an HTTP message signature by ${sign.algorithm} (RFC 9421)`]),
  ];
  return `${kinds.join(' and ')} for ${upstreamUrl}, new for each attempt`;
}

/** How a mode looks through push, where Envoy decides and bearerd sees no request. */
function pushRolloutLines({ mode, percent }: RolloutConfig): string[] {
  if (mode === 'shadow') return ['in shadow no injector is generated, and the check door watches'];
  if (percent === undefined) return [];
  return [
    'in a pod outside the share the request goes as the app sent it; so it does while Envoy has not heard from bearerd yet',
    'a pod changes sides once its Envoy was told: a change of the share reaches no request before',
    'a refused request is not sent again, in no pod, until mode is enforce and the configuration of Envoy is generated anew',
  ];
}

/** undefined = in force for every request. */
function modeText({ mode, percent, by }: RolloutConfig): string | undefined {
  if (mode === 'shadow') return 'shadow: decided and counted, and nothing of the request is touched';
  if (percent === undefined) return undefined;
  return by === undefined
    ? `in force in ${percent} % of the pods; the others touch nothing`
    : `in force for ${percent} % of the values of ${by}; other requests are not touched`;
}

function guardText({ percent, requests, goodAfterMs }: GuardConfig): string {
  return `steps back to the last good version when ${percent} % more of ${requests} requests fail than of the share not yet enforced; good after ${goodAfterMs / 1_000} s without alarm`;
}

function healing(healOn: '401' | 'invalid_token' | 'off'): string {
  if (healOn === 'off') return 'off: refusals renew nothing';
  const what = healOn === '401' ? '401 or gRPC UNAUTHENTICATED' : 'a challenge with error="invalid_token"';
  return `${what} renews the credential; push and attempt retry the same request, check heals the next one`;
}
