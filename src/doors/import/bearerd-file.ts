// What was found of Envoy's credential_injector, as a configuration of bearerd with the reasons beside it.
import { because, toYaml } from '../../lib/commented-yaml.ts';
import type { FoundCredential, FoundInjector } from './credential-injector.ts';

/** YAML. `injectors` has at least one. */
export function bearerdFile(injectors: readonly FoundInjector[]): string {
  const sources = new Map<string, unknown>();
  const outbound = injectors.map((found, i) => {
    const { where, hosts, credential, remarks } = found;
    const source = sourceName(credential, i);
    if (!sources.has(source)) sources.set(source, sourceOf(credential));
    const names = hosts.filter((host) => host !== '*');
    const lines = [`From ${where}.`, ...remarks.map((remark) => `Not carried over: ${remark}.`)];
    if (names.length === 0) lines.push('Its hosts could not be told: name them.');
    const inject = { source, ...(credential.kind === 'generic' ? headerOf(credential) : {}) };
    const hostList = names.length === 0 ? ['TO-BE-NAMED.example.com'] : names.map(hostPattern);
    return because(lines.join('\n'), {
      name: policyName(where, i),
      match: { hosts: [...new Set(hostList)] },
      inject,
      ...(remarks.some((remark) => remark.startsWith('allow_request_without_credential'))
        ? { on_failure: 'pass' }
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
      sources: Object.fromEntries(sources),
      outbound,
    },
    'Made by "bearerd import". Read it through, then: bearerd check-config, bearerd generate envoy.',
  );
}

function sourceOf(credential: FoundCredential): unknown {
  const secret = (what: string) =>
    because(
      credential.secret.file === undefined
        ? `${what} came to Envoy as the secret "${credential.secret.name}" by SDS: put it into this file.`
        : `Envoy read the secret "${credential.secret.name}" from ${credential.secret.file}, which is a file of SDS: put the bare value into this one.`,
      { file: `/var/run/secrets/bearerd/${credential.secret.name || 'secret'}` },
    );
  if (credential.kind === 'generic') return { static: { value: secret('The value') } };
  const { tokenEndpoint, clientId, clientAuth, scopes, endpointParams } = credential;
  return {
    required: true,
    client_credentials: {
      token_endpoint: tokenEndpoint,
      client_id: clientId,
      client_secret: secret('The client secret'),
      client_auth: clientAuth,
      ...(scopes.length === 0 ? {} : { scope: scopes }),
      ...parametersOf(endpointParams),
    },
  };
}

function parametersOf(params: Readonly<Record<string, string>>): object {
  const { audience, resource, ...extra } = params;
  return {
    ...(audience === undefined ? {} : { audience }),
    ...(resource === undefined ? {} : { resource: [resource] }),
    ...(Object.keys(extra).length === 0 ? {} : { extra_params: extra }),
  };
}

/** Envoy's generic secret holds the whole value, so there is no prefix unless Envoy adds one. */
function headerOf({ header, prefix }: { readonly header: string; readonly prefix: string }): object {
  return { header, prefix };
}

function hostPattern(domain: string): string {
  return domain.replace(/\.$/, '').replace(/:\*$/, '');
}

function sourceName(credential: FoundCredential, index: number): string {
  const name = credential.kind === 'oauth2' ? credential.clientId : credential.secret.name;
  return plainName(name) || `source-${index + 1}`;
}

function policyName(where: string, index: number): string {
  return plainName(where.replace(/^(listener|cluster) /, '')) || `policy-${index + 1}`;
}

function plainName(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+|-+$/g, '')
    .slice(0, 128);
}
