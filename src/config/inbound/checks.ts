// What spans several keys of `inbound`.
import { nearestWord } from '../../lib/suggestion.ts';
import type { Report } from '../problems.ts';
import type { ConfigFile } from '../schema.ts';
import { isBoundByDpop } from '../schema-proof.ts';
import { kindOf } from '../source/kinds.ts';
import { unknownSource } from '../unknown-source.ts';
import type { Path } from '../yaml-document.ts';
import type { FileInbound } from './parse.ts';

export function inboundProblems(
  inbound: FileInbound | undefined,
  file: {
    readonly mode: string;
    readonly listening: boolean;
    readonly hasSharedCache: boolean;
    readonly sources: ConfigFile['sources'];
  },
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
  inbound.policies.forEach((policy, i) => {
    exchange(policy, file.sources, ['inbound', 'policies', i], report);
  });
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

/** The caller's own token becomes another for the app: everything that is no such token, or is worth more than that, cannot. */
function exchange(
  policy: FileInbound['policies'][number],
  sources: ConfigFile['sources'],
  at: Path,
  report: Report,
): void {
  if (typeof policy.token !== 'object') return;
  const name = policy.token.exchange;
  const place: Path = [...at, 'token', 'exchange'];
  const source = Object.hasOwn(sources, name) ? sources[name] : undefined;
  const own = source?.token_exchange;
  if (source === undefined) report(place, unknownSource(name, Object.keys(sources)));
  else if (own === undefined) {
    report(place, `${name} is a ${kindOf(source)} source: expected a token_exchange source`);
  } else if (own.subject_token.header !== 'authorization') {
    report(place, `${name} needs subject_token: { header: authorization }, where the caller's token stands`);
  } else if (own.actor_token?.header !== undefined) {
    report(
      place,
      `${name} takes the actor's token from the header ${own.actor_token.header}: nobody verifies it`,
    );
  } else if (isBoundByDpop(own)) {
    report(place, `${name} gets tokens bound to a key of bearerd (dpop: true): the app could not use them`);
  } else if (source.hosts !== undefined) {
    report(place, `sources.${name}.hosts binds its credential to outgoing requests: use a source of its own`);
  }
  if (policy.anonymous) report(place, 'has no meaning with anonymous: true');
  if (policy.api_keys) report(place, 'an API key cannot be exchanged: give api_keys a policy of its own');
  if (policy.bound !== undefined) {
    report(place, `a token that is bound (${policy.bound}) would become one that is not: use pass or remove`);
  }
  if (Object.hasOwn(policy.forward, 'authorization')) {
    report([...at, 'forward', 'authorization'], 'is the header of the exchanged token already');
  }
}
