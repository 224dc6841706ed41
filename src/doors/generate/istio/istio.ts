// Istio's side of a configuration: EnvoyFilters, and for hosts outside the mesh how the sidecar reaches them by TLS. Text in
// the order in which it is applied, the same for the same input.
import type { Config } from '../../../config/config.ts';
import { because, plain, toYaml } from '../../../lib/commented-yaml.ts';
import { type Door, type Plan, planDoors } from '../plan.ts';
import { GenerateError } from '../problems.ts';
import { pushOnlyRefusals } from '../push-refusals.ts';
import { retryPolicy } from '../retry-policy.ts';
import type { ClusterOptions } from './cluster-dump.ts';
import { envoyFilters, type IstioContext } from './envoy-filters.ts';
import { type IstioHost, istioHosts, istioRefusals } from './istio-hosts.ts';

export interface GenerateIstioOptions {
  readonly door: Door;
  readonly namespace: string;
  readonly context: IstioContext;
  readonly selector: Readonly<Record<string, string>> | undefined;
  readonly retries: 'patch' | 'print';
  /** What the user's clusters say of HTTP, to be kept; empty = not known. */
  readonly clusterOptions: ClusterOptions;
}

/** YAML documents. Throws GenerateError with everything that cannot be done. */
export function generateIstio(config: Config, options: GenerateIstioOptions): string {
  const plan = planDoors(config, options.door);
  const problems = [
    ...(options.door === 'push' ? pushOnlyRefusals(config) : []),
    ...istioRefusals(plan),
    ...(config.listen.xds.length === 0
      ? ['listen.xds is missing: refused credentials are reported there']
      : []),
    ...(config.listen.check === undefined && plan.policies.some(({ door }) => door !== 'push')
      ? ['listen.check is missing: the check and attempt doors need an address']
      : []),
    ...(config.unmatched === 'deny'
      ? [
          'unmatched: deny cannot be served in a mesh: it would refuse every call of the namespace that no policy names',
        ]
      : []),
  ];
  if (problems.length > 0) throw new GenerateError(problems);
  const outside = istioHosts(plan).filter(({ inCluster }) => !inCluster);
  const documents = [
    ...envoyFilters({ ...options, config, plan }),
    ...outside.flatMap((host) => [
      serviceEntry(host, options.namespace),
      destinationRule(host, options.namespace),
    ]),
  ];
  const [first, ...others] = documents.map((document) => toYaml(document));
  return [`${heading(plan, options, outside)}${first}`, ...others].join('---\n');
}

/** The app speaks plain HTTP to port 80; the sidecar makes TLS of it, or Envoy could not look into the request. */
function serviceEntry({ name, port }: IstioHost, namespace: string): object {
  const tls = port === undefined || port === 443 || port === 80;
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name: objectName(name, port), namespace },
    spec: {
      hosts: [name],
      location: 'MESH_EXTERNAL',
      resolution: 'DNS',
      ports: [
        tls
          ? because('The app says http://, the sidecar speaks TLS to 443.', {
              number: 80,
              name: 'http',
              protocol: 'HTTP',
              targetPort: 443,
            })
          : { number: port, name: 'http', protocol: 'HTTP' },
      ],
    },
  };
}

function destinationRule({ name, port }: IstioHost, namespace: string): object {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'DestinationRule',
    metadata: { name: objectName(name, port), namespace },
    spec: {
      host: name,
      trafficPolicy: { tls: { mode: 'SIMPLE', sni: name } },
    },
  };
}

function objectName(name: string, port: number | undefined): string {
  return `bearerd-${name.replaceAll('.', '-')}${port === undefined ? '' : `-${port}`}`.slice(0, 253);
}

function heading(plan: Plan, options: GenerateIstioOptions, outside: readonly IstioHost[]): string {
  const lines = [
    `Made by "bearerd generate istio". ${plan.policies.length} policies:`,
    ...plan.policies.map(({ name, door }) => `  ${name}: ${door}`),
    'For sidecars. In ambient mode there is no Envoy beside the app: send the traffic through an egress gateway and',
    'generate for it with --context egress.',
  ];
  for (const { name } of outside) {
    lines.push(
      `OUTSIDE THE MESH: ${name}. Apps must call http://${name}: an app that speaks https:// itself is opaque to`,
      '  Envoy, and no door sees its requests.',
    );
  }
  if (options.retries === 'print') lines.push(...virtualServiceLines(plan));
  return `${lines.map((line) => `# ${line}`.trimEnd()).join('\n')}\n`;
}

/** Istio has one VirtualService per host, which is the team's own. */
function virtualServiceLines(plan: Plan): string[] {
  const hosts = istioHosts(plan).filter(({ policies }) => policies.some(({ door }) => door !== 'check'));
  return hosts.flatMap(({ name, policies }) => {
    const policy = policies.find(({ door }) => door !== 'check')!;
    const retry = plain(retryPolicy(policy)) as {
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
