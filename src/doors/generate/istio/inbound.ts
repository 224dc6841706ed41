// Istio's side of the inbound door, in one of two ways: a filter of our own in the listener before the app, or Istio's own
// by an AuthorizationPolicy CUSTOM, which can tell bearerd less.
import type { Config } from '../../../config/config.ts';
import { because, Commented, toYaml } from '../../../lib/commented-yaml.ts';
import { inboundBodyLimits, inboundBodyRefusals } from '../body-limits.ts';
import { bearerdTimeout } from '../check-filter.ts';
import { bearerdCluster } from '../clusters.ts';
import { inboundFilters } from '../inbound/filters.ts';
import { callerSettings, INBOUND_CHECK_CLUSTER } from '../inbound/inbound.ts';
import {
  addCluster,
  atRouter,
  envoyFilter,
  insertFirst,
  mergeManager,
  objectName,
  type Placed,
} from './patches.ts';

/** filter: an EnvoyFilter asks bearerd; authorization-policy: Istio's CUSTOM action does. */
export type InboundForm = 'filter' | 'authorization-policy';

const NAME = 'bearerd-inbound';

/** In `extensionProviders`, and in the registry of services: Istio refuses a host that two namespaces have. */
const providerOf = (namespace: string) => ({
  name: `${NAME}-${namespace}`,
  service: `${namespace}.${NAME}.internal`,
});

export function inboundDocuments(config: Config, placed: Placed, form: InboundForm): readonly object[] {
  const inbound = config.inbound!;
  const filters = inboundFilters(config, inbound, INBOUND_CHECK_CLUSTER).map(renamed);
  const own = form === 'filter';
  const limits = inboundBodyLimits(inbound);
  const clean = filters.slice(0, -1);
  return [
    envoyFilter(placed, NAME, [
      ...(own
        ? [addCluster(placed, bearerdCluster(INBOUND_CHECK_CLUSTER, config.listen.checkInbound!.listener))]
        : []),
      ...(own
        ? filters.map((filter) => atRouter(placed, 'INSERT_BEFORE', filter))
        : // Istio asks bearerd early, and what bearerd then adds has to stay.
          clean.map((filter) => insertFirst(placed, filter))),
      ...limits.count.map((filter) => atRouter(placed, 'INSERT_BEFORE', filter)),
      ...limits.hold.map((filter) => insertFirst(placed, filter)),
      mergeManager(placed, callerSettings(inbound)),
    ]),
    ...(own ? [] : customAuthorization(config, placed)),
  ];
}

/** Lines for people: what kubectl cannot apply. */
export function inboundHeading(config: Config, form: InboundForm, namespace: string): string[] {
  if (form === 'filter') {
    return [
      'Inbound: every HTTP request is asked for. NOT SEEN: a port that its Service calls TCP, TLS that ends in the app, and what',
      '  traffic.sidecar.istio.io annotations keep out of the sidecar. Nothing there is refused.',
    ];
  }
  const { listener } = config.listen.checkInbound!;
  const { name, service } = providerOf(namespace);
  const provider = {
    extensionProviders: [
      {
        name,
        envoyExtAuthzGrpc: {
          service,
          port: listener.kind === 'tcp' ? listener.port : 0,
          timeout: bearerdTimeout(config),
          failOpen: false,
          statusOnError: '503',
        },
      },
    ],
  };
  return [
    'Inbound: every request is asked for.',
    'Put into the mesh configuration (ConfigMap istio of istio-system, key mesh), beside those of other namespaces:',
    ...toYaml(provider)
      .trimEnd()
      .split('\n')
      .map((line) => `  ${line}`),
    'Until it is there the AuthorizationPolicy refuses every request with 403.',
  ];
}

/** Why Istio cannot serve the inbound side in this form, each with the way out. */
export function inboundRefusals({ inbound, listen }: Config, form: InboundForm): readonly string[] {
  if (inbound === undefined) return [];
  const check = listen.checkInbound!;
  const problems = [...inboundBodyRefusals(inbound)];
  if (check.tls !== undefined) {
    problems.push('listen.check_inbound has tls: beside the app use a Unix socket, or loopback without it');
  }
  if (check.listener.kind === 'tcp' && check.listener.port === 0) {
    problems.push('listen.check_inbound has port 0: Envoy has to be told a fixed one');
  }
  if (form === 'filter') return problems;
  if (check.listener.kind === 'unix') {
    problems.push(
      'listen.check_inbound is a Unix socket, and a provider of Istio is a service: listen on 127.0.0.1:PORT, or use --inbound filter',
    );
  }
  for (const { name, requireTls, peers, bound } of inbound.policies) {
    if (requireTls) {
      problems.push(
        `inbound policy ${name} has require_tls: Istio's provider does not tell TLS from plaintext; use --inbound filter`,
      );
    }
    if (inbound.clientCertificate === 'xfcc') continue;
    const asks = [
      ...(peers === undefined ? [] : ['peers']),
      ...(bound === 'mtls' || bound === 'either' ? [`bound: ${bound}`] : []),
    ];
    for (const what of asks) {
      problems.push(
        `inbound policy ${name} has ${what}: Istio's provider does not tell the certificate; use client_certificate: xfcc or --inbound filter`,
      );
    }
  }
  return problems;
}

function customAuthorization(config: Config, placed: Placed): object[] {
  const { namespace, selector } = placed;
  const { listener } = config.listen.checkInbound!;
  const { name, service } = providerOf(namespace);
  return [
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'ServiceEntry',
      metadata: { name: NAME, namespace },
      spec: {
        hosts: [service],
        exportTo: ['.'],
        location: 'MESH_EXTERNAL',
        resolution: 'STATIC',
        ports: [{ number: listener.kind === 'tcp' ? listener.port : 0, name: 'grpc', protocol: 'GRPC' }],
        endpoints: because('Each pod asks the bearerd beside it.', [{ address: '127.0.0.1' }]),
      },
    },
    {
      apiVersion: 'security.istio.io/v1',
      kind: 'AuthorizationPolicy',
      metadata: { name: objectName(NAME, placed), namespace },
      spec: {
        selector: selector && { matchLabels: selector },
        action: 'CUSTOM',
        provider: { name },
        rules: because('Every request: which policy decides is bearerd’s to say.', [{}]),
      },
    },
  ];
}

/** Istio has filters with the usual names, which its own routes may switch. */
function renamed(filter: unknown): unknown {
  if (filter instanceof Commented) return because(filter.comment, renamed(filter.value));
  const { name, ...rest } = filter as { name: string };
  return { name: `bearerd.inbound.${name.split('.').at(-1)}`, ...rest };
}
