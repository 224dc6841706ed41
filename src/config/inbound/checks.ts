// What spans several keys of `inbound`.
import { nearestWord } from '../../lib/suggestion.ts';
import type { Path } from '../yaml-document.ts';
import type { FileInbound } from './parse.ts';

type Report = (path: Path, message: string) => void;

export function inboundProblems(
  inbound: FileInbound | undefined,
  file: { readonly mode: string; readonly listening: boolean; readonly hasSharedCache: boolean },
  report: Report,
): void {
  if (inbound === undefined) {
    if (file.listening)
      report(['listen', 'check_inbound'], 'expected inbound: without it nothing may come in');
    return;
  }
  if (!file.listening) report(['inbound'], 'needs listen.check_inbound, where Envoy asks');
  if (inbound.policies.length === 0) {
    report(['inbound'], 'expected at least one entry of policies: what no policy matches is refused');
  }
  if (inbound.revocation?.shared && !file.hasSharedCache) {
    report(['inbound', 'revocation', 'shared'], 'needs shared_cache, where the list is');
  }
  issuers(inbound, file.mode, report);
  policies(inbound, report);
}

function issuers(inbound: FileInbound, mode: string, report: Report): void {
  const first = new Map<string, string>();
  for (const [name, issuer] of Object.entries(inbound.issuers)) {
    const at: Path = ['inbound', 'issuers', name];
    if (issuer.issuer !== undefined) {
      const before = first.get(issuer.issuer);
      if (before !== undefined) report([...at, 'issuer'], `the issuer is that of ${before} already`);
      else first.set(issuer.issuer, name);
    }
    if (mode === 'development') continue;
    const https = 'expected https://; http to loopback needs mode: development';
    const discovers = issuer.jwks_uri === undefined && issuer.jwks_file === undefined;
    if (discovers && issuer.shared_secret === undefined && issuer.issuer?.startsWith('http:')) {
      report([...at, 'issuer'], https);
    }
    if (issuer.jwks_uri?.startsWith('http:')) report([...at, 'jwks_uri'], https);
    if (issuer.introspection?.endpoint.startsWith('http:'))
      report([...at, 'introspection', 'endpoint'], https);
    const inline =
      'a secret in the file itself needs mode: development; use { file: /path } or { env: NAME }';
    if (issuer.shared_secret?.from === 'inline') report([...at, 'shared_secret', 'inline'], inline);
    if (issuer.introspection?.client_secret.from === 'inline') {
      report([...at, 'introspection', 'client_secret', 'inline'], inline);
    }
  }
}

function policies(inbound: FileInbound, report: Report): void {
  const known = Object.keys(inbound.issuers);
  const first = new Map<string, number>();
  inbound.policies.forEach((policy, i) => {
    const at: Path = ['inbound', 'policies', i];
    const before = first.get(policy.name);
    if (before !== undefined) {
      report([...at, 'name'], `the name ${policy.name} is taken by inbound.policies[${before}] already`);
    } else first.set(policy.name, i);
    policy.issuers?.forEach((name, j) => {
      if (known.includes(name)) return;
      const near = nearestWord(name, known);
      report(
        [...at, 'issuers', j],
        `no issuer named "${name}"; ${near ? `did you mean ${near}?` : known.length === 0 ? 'there is none' : `there are ${known.join(', ')}`}`,
      );
    });
    const names = policy.issuers ?? (policy.anonymous ? [] : known);
    if (policy.api_keys && inbound.api_keys === undefined) {
      report([...at, 'api_keys'], 'needs inbound.api_keys with the file of keys');
    }
    if (policy.anonymous) {
      for (const key of ['issuers', 'audience', 'acr', 'amr', 'max_auth_age', 'bound'] as const) {
        if (policy[key] !== undefined) report([...at, key], 'has no meaning with anonymous: true');
      }
      for (const key of ['scopes', 'permissions'] as const) {
        if (policy[key].length > 0) report([...at, key], 'has no meaning with anonymous: true');
      }
      for (const key of ['claims', 'forward'] as const) {
        if (Object.keys(policy[key]).length > 0) report([...at, key], 'has no meaning with anonymous: true');
      }
      if (policy.api_keys) report([...at, 'api_keys'], 'has no meaning with anonymous: true');
      return;
    }
    if (names.length === 0 && !policy.api_keys) {
      report(at, 'expected an issuer, api_keys: true or anonymous: true: nobody could call');
    }
    for (const name of names) {
      const issuer = inbound.issuers[name];
      if (issuer === undefined || policy.audience !== undefined || issuer.audience.length > 0) continue;
      report(at, `expected audience, here or at the issuer ${name}: a token for another service would count`);
    }
  });
}
