// Istio's side of a configuration: EnvoyFilters, and for hosts outside the mesh how the sidecar reaches them by TLS. Text in
// the order in which it is applied, the same for the same input.
import type { Config } from '../../../config/config.ts';
import { plain, toYaml } from '../../../lib/commented-yaml.ts';
import { outboundBodyRefusals } from '../body-limits.ts';
import { type Door, type Plan, planDoors } from '../plan.ts';
import { GenerateError } from '../problems.ts';
import { pushOnlyRefusals } from '../push-refusals.ts';
import { MAX_RETRIES, retryPolicy } from '../retry-policy.ts';
import { type ClusterOptions, optionsOf } from './cluster-dump.ts';
import { envoyFilters } from './envoy-filters.ts';
import { type InboundForm, inboundDocuments, inboundHeading, inboundRefusals } from './inbound.ts';
import { istioHosts, istioRefusals, policyOfRetries } from './istio-hosts.ts';
import { meshTlsLines, transportRefusals, unknownTlsRefusals } from './mesh-tls.ts';
import { type OutsideTls, outsideDocuments } from './outside.ts';
import { statisticsLines } from './statistics.ts';
import { uncapturedLines } from './uncaptured.ts';

export interface GenerateIstioOptions {
  readonly door: Door;
  readonly namespace: string;
  /** sidecar: both sides of the app's own Envoy. A gateway has one: egress what leaves, ingress what comes in. */
  readonly context: 'sidecar' | 'egress' | 'ingress';
  readonly inbound: InboundForm;
  readonly selector: Readonly<Record<string, string>> | undefined;
  readonly retries: 'patch' | 'print';
  /** What the user's clusters say of HTTP, to be kept; empty = not known. */
  readonly clusterOptions: ClusterOptions;
  readonly tls: OutsideTls;
}

/** YAML documents. Throws GenerateError with everything that cannot be done. */
export function generateIstio(config: Config, options: GenerateIstioOptions): string {
  const { context, namespace, selector } = options;
  const outbound = context !== 'ingress' && config.outbound.length > 0;
  const inbound = context !== 'egress' && config.inbound !== undefined;
  const plan = planDoors(config, options.door);
  const problems = [
    ...(outbound ? outboundRefusals(config, plan, options) : []),
    ...(inbound ? inboundRefusals(config, options.inbound) : []),
    ...(outbound || inbound
      ? []
      : [`nothing is to be generated for ${context}: no policy of that side is configured`]),
  ];
  if (problems.length > 0) throw new GenerateError(problems);
  const hosts = outbound ? istioHosts(plan) : [];
  const placed = (side: 'SIDECAR_OUTBOUND' | 'SIDECAR_INBOUND') => ({
    namespace,
    selector,
    context: context === 'sidecar' ? side : ('GATEWAY' as const),
  });
  const documents = [
    ...(outbound ? envoyFilters({ ...options, ...placed('SIDECAR_OUTBOUND'), config, plan }) : []),
    ...(inbound ? inboundDocuments(config, placed('SIDECAR_INBOUND'), options.inbound) : []),
    ...outsideDocuments(hosts, { namespace, tls: options.tls, exported: context !== 'sidecar' }),
  ];
  const lines = [
    `Made by "bearerd generate istio --context ${context}".`,
    'Apply it once the pods concerned have bearerd: a pod without it answers 503 to each request of these policies, in shadow too.',
    ...everyEnvoyLines(options),
    ...(outbound ? outboundHeading(config, plan, options) : []),
    ...uncapturedLines(config),
    ...(inbound ? inboundHeading(config, options.inbound, namespace) : []),
    'Ambient mode is out of reach, since there is no Envoy beside the app: send the traffic through an egress gateway and',
    'generate for it with --context egress.',
  ];
  const [first, ...others] = documents.map((document) => toYaml(document));
  return [`${lines.map((line) => `# ${line}`.trimEnd()).join('\n')}\n${first}`, ...others].join('---\n');
}

/** Whom it holds for without a label. What stands in Istio's root namespace, usually this one, holds for every namespace. */
function everyEnvoyLines({ namespace, selector, context }: GenerateIstioOptions): readonly string[] {
  if (selector !== undefined) return [];
  const gateway = context !== 'sidecar';
  if (namespace === 'istio-system') {
    return [
      `THE WHOLE MESH: objects of istio-system hold for every ${gateway ? 'gateway' : 'sidecar'} of every namespace. --selector says for which.`,
    ];
  }
  return gateway
    ? ['EVERY GATEWAY of the namespace, for what comes in and for what leaves: --selector says which.']
    : [];
}

function outboundRefusals(config: Config, plan: Plan, options: GenerateIstioOptions): readonly string[] {
  const { door } = options;
  return [
    ...(door === 'push' ? pushOnlyRefusals(config) : []),
    ...istioRefusals(plan),
    ...outboundBodyRefusals(config),
    ...transportRefusals(config, plan, options),
    ...unknownTlsRefusals(plan, options.tls),
    ...(config.listen.xds.length === 0
      ? ['listen.xds is missing: refused credentials are reported there']
      : []),
    ...(config.listen.check === undefined && plan.policies.some(({ door: serving }) => serving !== 'push')
      ? ['listen.check is missing: the check and attempt doors need an address']
      : []),
    ...(config.unmatched === 'deny'
      ? [
          'unmatched: deny cannot be served in a mesh: it would refuse every call of the namespace that no policy names',
        ]
      : []),
  ];
}

function outboundHeading(config: Config, plan: Plan, options: GenerateIstioOptions): readonly string[] {
  const hosts = istioHosts(plan);
  const names = new Set(hosts.filter(({ inCluster }) => !inCluster).map(({ name }) => name));
  const ruled = hosts.filter(({ name }) => names.has(name) || options.tls[name] !== undefined);
  return [
    `Outbound, ${plan.policies.length} policies:`,
    ...plan.policies.map(({ name, door }) => `  ${name}: ${door}`),
    ...[...names].flatMap((name) => [
      `OUTSIDE THE MESH: ${name}. Apps must call http://${name}: an app that speaks https:// itself is opaque to`,
      '  Envoy, and no door sees its requests.',
    ]),
    ...(ruled.length === 0
      ? []
      : [
          'ONE DestinationRule a host: with another of yours in this namespace Istio takes one of the two, with its subsets and its TLS,',
          'or none; bearerd doctor looks at what came of it.',
        ]),
    ...(options.retries === 'print' ? virtualServiceLines(plan) : []),
    ...destinationRuleLines(plan),
    ...meshTlsLines(config, plan, options),
    ...fewRetriesLines(plan, options.clusterOptions),
    ...statisticsLines(plan),
  ];
}

/** A MERGE appends to the thresholds of a cluster, and Envoy counts by the first: only Istio’s own default of 2³²−1 or a rule counts. */
function fewRetriesLines(plan: Plan, clusterOptions: ClusterOptions): string[] {
  return istioHosts(plan).flatMap((host) => {
    const { name, policies } = host;
    const own = optionsOf(clusterOptions, host);
    if (own.length === 0 || policies.every(({ door }) => door === 'check')) return [];
    const maxRetries = Math.min(...own.map((one) => one.maxRetries ?? 3));
    if (maxRetries >= MAX_RETRIES) return [];
    return [
      `TOO FEW RETRIES: the DestinationRule for ${name} lets ${maxRetries} run at once, so apps see most refusals of a revoked`,
      `  credential: connectionPool.http.maxRetries has to be ${MAX_RETRIES} or absent.`,
    ];
  });
}

/** Envoy counts by the first thresholds of a cluster, which are Istio's: only a DestinationRule changes them. */
function destinationRuleLines(plan: Plan): string[] {
  return istioHosts(plan).flatMap(({ name, resilience }) => {
    const { max, maxPending, maxRequests } = resilience?.connections ?? {};
    const pool = {
      tcp: { maxConnections: max },
      http: { http1MaxPendingRequests: maxPending, http2MaxRequests: maxRequests },
    };
    if (max === undefined && maxPending === undefined && maxRequests === undefined) return [];
    return [
      `Put under trafficPolicy of the DestinationRule for ${name}:`,
      ...toYaml({ connectionPool: pool })
        .trimEnd()
        .split('\n')
        .map((line) => `  ${line}`),
    ];
  });
}

/** Istio has one VirtualService per host, which is the team's own. */
function virtualServiceLines(plan: Plan): string[] {
  const hosts = istioHosts(plan).filter(({ policies }) => policies.some(({ door }) => door !== 'check'));
  return hosts.flatMap((host) => {
    const { name } = host;
    const retry = plain(retryPolicy(policyOfRetries(host))) as {
      readonly num_retries: number;
      readonly retry_on: string;
      readonly retriable_status_codes?: readonly number[];
      readonly retry_back_off?: { readonly base_interval: string };
    };
    const retryOn = [retry.retry_on, ...(retry.retriable_status_codes ?? [])].join(',');
    return [
      `Put into each route of the VirtualService for ${name}:`,
      '  retries:',
      `    attempts: ${retry.num_retries}`,
      `    retryOn: "${retryOn}"`,
      ...(retry.retry_back_off === undefined ? [] : [`    backoff: ${retry.retry_back_off.base_interval}`]),
    ];
  });
}
