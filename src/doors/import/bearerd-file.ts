// What was found of Envoy's credential_injector, as a configuration of bearerd with the reasons beside it.
import { because, toYaml } from '../../lib/commented-yaml.ts';
import type { FoundCredential, FoundInjector } from './credential-injector.ts';
import { inOrder } from './order.ts';

/** Whether check-config accepts a value; else it is named and left out. */
export interface Accepts {
  host(pattern: string): boolean;
  endpoint(uri: string): boolean;
  secret(reference: object): boolean;
  inject(header: object): boolean;
  extraParam(name: string): boolean;
  scope(scope: string): boolean;
  resource(uri: string): boolean;
}

/** YAML that check-config accepts. `injectors` has at least one; `others` are lines for its head. */
export function bearerdFile(
  injectors: readonly FoundInjector[],
  others: readonly string[],
  accepts: Accepts,
): string {
  const sources = new Map<string, { readonly value: unknown; readonly text: string }>();
  const names = new Set<string>();
  const first = new Map<string, string>();
  const outbound = inOrder(injectors).map((found, i) => {
    const { where, hosts, credential, leadsTo } = found;
    const { value, inject, remarks } = sourceOf(credential, accepts);
    const text = toYaml(value);
    // Two injectors may use one client for different scopes.
    const source = unused(
      sourceName(credential, i),
      (name) => sources.has(name) && sources.get(name)!.text !== text,
    );
    sources.set(source, { value, text });
    const patterns = [...new Set(hosts.filter((host) => host !== '*').map(hostPattern))];
    const sayable = patterns.filter((pattern) => accepts.host(pattern));
    const unsayable = patterns.filter((pattern) => !sayable.includes(pattern));
    const lines = [
      `From ${where}.`,
      ...[
        ...found.remarks,
        ...remarks,
        ...(hosts.includes('*') && sayable.length > 0 ? ['the domain *: requests to every other host'] : []),
        ...unsayable.map((pattern) => `the domain ${pattern}: name the hosts that it stands for`),
      ].map((remark) => `Not carried over: ${remark}.`),
    ];
    if (sayable.length === 0) {
      const hint = leadsTo.length === 0 ? '' : ` Its upstreams are ${leadsTo.join(', ')}.`;
      lines.push(`Its hosts could not be told: name them.${hint}`);
    }
    const name = unused(policyName(where, i), (taken) => names.has(taken));
    names.add(name);
    for (const host of sayable) {
      const before = first.get(host);
      if (before === undefined) first.set(host, name);
      else
        lines.push(
          `${host} is of the policy ${before} too, and the first one wins: a request gets one credential.`,
        );
    }
    return because(lines.join('\n'), {
      name,
      match: { hosts: sayable.length === 0 ? ['TO-BE-NAMED.example.com'] : sayable },
      inject: { source, ...inject },
      ...(found.remarks.some((remark) => remark.startsWith('allow_request_without_credential'))
        ? { on_failure: 'pass' }
        : {}),
      ...(found.isPartial
        ? {
            mode: because(
              'In Envoy it acted on some requests of its hosts only: say on which, then take this line away.',
              'shadow',
            ),
          }
        : {}),
    });
  });
  return toYaml(
    {
      version: 1,
      listen: {
        check: 'unix:///run/bearerd/check.sock',
        xds: 'unix:///run/bearerd/xds.sock',
        health: '0.0.0.0:9193',
      },
      sources: Object.fromEntries([...sources].map(([name, { value }]) => [name, value])),
      outbound,
    },
    [
      'Made by "bearerd import". Read it through, then: bearerd check-config, bearerd generate envoy.',
      ...others.map((other) => `Not carried over: ${other}.`),
    ].join('\n'),
  );
}

interface WrittenSource {
  readonly value: unknown;
  /** Of the policy, beside the source's name. */
  readonly inject: object;
  readonly remarks: readonly string[];
}

function sourceOf(credential: FoundCredential, accepts: Accepts): WrittenSource {
  const { name, sdsFile, bare } = credential.secret;
  const secret = (what: string): unknown => {
    const reference =
      bare?.from === 'env' ? { env: bare.place } : bare?.from === 'file' ? { file: bare.place } : {};
    if (accepts.secret(reference)) return reference;
    const why =
      bare?.from === 'hidden'
        ? `${what} is the static secret "${name}" of Envoy, whose place a dump hides: put it into this file.`
        : bare !== undefined
          ? `${what} stands in Envoy's configuration, as the static secret "${name}": put it into this file.`
          : sdsFile === undefined
            ? `${what} came to Envoy as the secret "${name}" by SDS: put it into this file.`
            : `Envoy read the secret "${name}" from ${sdsFile}, which is a file of SDS: put the bare value into this one.`;
    return because(why, { file: `/var/run/secrets/bearerd/${plainName(name) || 'secret'}` });
  };
  if (credential.kind === 'generic') {
    // Envoy's generic secret holds the whole value, so there is no prefix unless Envoy adds one.
    const { header, prefix } = credential;
    const isTaken = accepts.inject({ header, prefix });
    return {
      value: { static: { value: secret('The value') } },
      inject: isTaken ? { header, prefix } : { header: 'x-to-be-named', prefix: '' },
      // Not quoted: a whole credential may stand in it.
      remarks: isTaken ? [] : ['header or header_value_prefix, which can carry no credential: name others'],
    };
  }
  const { clientId, clientAuth } = credential;
  // Envoy joins them with spaces.
  const words = credential.scopes.flatMap((scope) => scope.split(' ')).filter((scope) => scope !== '');
  const scopes = words.filter((scope) => accepts.scope(scope));
  const beyond = words.filter((scope) => !scopes.includes(scope));
  const endpoint = endpointOf(credential.tokenEndpoint, accepts);
  const parameters = parametersOf(credential.endpointParams, accepts);
  return {
    inject: {},
    remarks: [
      ...endpoint.remarks,
      ...(clientId === '' ? ['client_id, which is empty: name it'] : []),
      ...beyond.map((scope) => `the scope ${scope}, which no provider takes (RFC 6749, section 3.3)`),
      ...parameters.remarks,
    ],
    value: {
      required: true,
      client_credentials: {
        token_endpoint: endpoint.url,
        client_id: clientId || 'TO-BE-NAMED',
        client_secret: secret('The client secret'),
        client_auth: clientAuth,
        ...(scopes.length === 0 ? {} : { scope: scopes }),
        ...parameters.keys,
      },
    },
  };
}

function endpointOf(
  uri: string,
  accepts: Accepts,
): { readonly url: string; readonly remarks: readonly string[] } {
  const url = uri.replace(/^http:/i, 'https:');
  if (!accepts.endpoint(url)) {
    return {
      url: 'https://TO-BE-NAMED.example.com/token',
      // Not quoted: there may be a password in it.
      remarks: ['token_endpoint.uri, which is no address of a provider: name its whole address'],
    };
  }
  if (url === uri) return { url, remarks: [] };
  return {
    url,
    remarks: [`token_endpoint.uri ${uri}: bearerd asks by https; Envoy's cluster decided that by itself`],
  };
}

/** `resource` may come several times, the others once. */
function parametersOf(
  params: readonly (readonly [name: string, value: string])[],
  accepts: Accepts,
): {
  readonly keys: object;
  readonly remarks: readonly string[];
} {
  const remarks: string[] = [];
  const resource: string[] = [];
  const once = new Map<string, string>();
  for (const [name, value] of params) {
    if (name === 'resource') {
      if (accepts.resource(value)) resource.push(value);
      else remarks.push(`endpoint_params resource ${value}, which is no absolute URI (RFC 8707)`);
      continue;
    }
    const refused = name === 'audience' ? value === '' : !accepts.extraParam(name);
    if (refused || once.has(name)) {
      remarks.push(
        `endpoint_params ${name}, which ${refused ? 'is empty or stated by another key' : 'comes a second time'}`,
      );
    } else once.set(name, value);
  }
  const { audience, ...extra } = Object.fromEntries(once);
  return {
    remarks,
    keys: {
      ...(audience === undefined ? {} : { audience }),
      ...(resource.length === 0 ? {} : { resource }),
      ...(Object.keys(extra).length === 0 ? {} : { extra_params: extra }),
    },
  };
}

/** `:*` is every port, and a host without one is a domain of its own. */
function hostPattern(domain: string, _: number, domains: readonly string[]): string {
  const bare = domain.replace(/:\*$/, '');
  return (domains.includes(bare) ? bare : domain).replace(/\.$/, '');
}

function sourceName(credential: FoundCredential, index: number): string {
  const name = credential.kind === 'oauth2' ? credential.clientId : credential.secret.name;
  return plainName(name) || `source-${index + 1}`;
}

function policyName(where: string, index: number): string {
  return plainName(where.replace(/^(listener|cluster) /, '')) || `policy-${index + 1}`;
}

/** `name`, or with the first number behind it that makes it one of its own. */
function unused(name: string, isTaken: (name: string) => boolean): string {
  let one = name;
  for (let i = 2; isTaken(one); i++) one = `${name}-${i}`;
  return one;
}

function plainName(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+|-+$/g, '')
    .slice(0, 120);
}
