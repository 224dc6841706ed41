// What spans several keys: references by name, settings that need each other, limits. The shape itself is the schema's.
import type { ConfigProblem } from '../lib/errors.ts';
import { boundHostProblems } from './bound-hosts.ts';
import { bundleProblems } from './bundle-bounds.ts';
import { outboundProblems } from './checks-outbound.ts';
import { environmentProblems, fallbackProblems } from './environments.ts';
import { inboundProblems } from './inbound/checks.ts';
import { INLINE, inlineSecrets } from './inline-secrets.ts';
import { listenAddressText } from './listen-address.ts';
import type { MergedDocument } from './merged-document.ts';
import { policySourceProblems } from './policy-sources.ts';
import { problemAt, type Report } from './problems.ts';
import type { ConfigFile } from './schema.ts';
import { isReadOnTheWay } from './schema-shared-cache.ts';
import { kindOf, kinds } from './source/kinds.ts';
import { unknownSource } from './unknown-source.ts';
import type { Path } from './yaml-document.ts';

/** `folder`: what relative paths of the local file are relative to. */
export function crossProblems(file: ConfigFile, document: MergedDocument, folder: string): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const report: Report = (path, message) => problems.push(problemAt(document, path, message));
  listeners(file, report);
  secrets(file, report);
  refreshTokenStores(file, report);
  subjects(file, report);
  sharedCache(file, report);
  fallbackProblems(file, report);
  environmentProblems(file, report);
  boundHostProblems(file, report);
  policySourceProblems(file, report);
  outboundProblems(file, report);
  bundleProblems(file, document, folder, report);
  inboundProblems(
    file.inbound,
    {
      mode: file.mode,
      listening: file.listen.check_inbound !== undefined,
      hasSharedCache: file.shared_cache !== undefined,
      sources: file.sources,
    },
    report,
  );
  return problems;
}

function listeners({ listen, outbound, unmatched }: ConfigFile, report: Report): void {
  if (listen.check === undefined && listen.check_inbound === undefined && listen.xds.length === 0) {
    report(
      ['listen'],
      'expected at least one of check, check_inbound and xds: without them Envoy has nothing to ask',
    );
  }
  if (listen.check === undefined) {
    if (unmatched === 'deny')
      report(['unmatched'], 'deny needs listen.check: push never sees such a request');
    outbound.forEach((policy, i) => {
      if (policy.on_failure === 'pass') {
        report(
          ['outbound', i, 'on_failure'],
          'pass needs listen.check: push ends a request without a credential',
        );
      }
      if (policy.never_stale) {
        report(
          ['outbound', i, 'never_stale'],
          'true needs listen.check: through push Envoy keeps a credential while bearerd is away',
        );
      }
    });
  }
  const taken = new Map<string, string>();
  const all: [Path, string][] = [
    ...(listen.check
      ? [[['listen', 'check'], listenAddressText(listen.check.listener)] as [Path, string]]
      : []),
    ...(listen.check_inbound
      ? [[['listen', 'check_inbound'], listenAddressText(listen.check_inbound.listener)] as [Path, string]]
      : []),
    ...listen.xds.map((x, i): [Path, string] => [['listen', 'xds', i], listenAddressText(x.listener)]),
    ...(listen.health ? [[['listen', 'health'], listenAddressText(listen.health)] as [Path, string]] : []),
    ...(listen.admin ? [[['listen', 'admin'], listenAddressText(listen.admin)] as [Path, string]] : []),
    ...(listen.status
      ? [[['listen', 'status'], listenAddressText(listen.status.address)] as [Path, string]]
      : []),
  ];
  for (const [path, address] of all) {
    const first = taken.get(address);
    if (first !== undefined && !address.endsWith(':0'))
      report(path, `${address} is taken by ${first} already`);
    else taken.set(address, path.slice(0, 2).join('.'));
  }
}

function secrets({ mode, listen, sources, outbound, audit, shared_cache }: ConfigFile, report: Report): void {
  if (mode === 'development') return;
  for (const path of inlineSecrets(listen.status)) report(['listen', 'status', ...path, 'inline'], INLINE);
  for (const path of inlineSecrets(audit)) report(['audit', ...path, 'inline'], INLINE);
  for (const path of inlineSecrets(shared_cache)) report(['shared_cache', ...path, 'inline'], INLINE);
  for (const [i, { sign }] of outbound.entries()) {
    for (const path of inlineSecrets(sign)) report(['outbound', i, 'sign', ...path, 'inline'], INLINE);
  }
  for (const [name, source] of Object.entries(sources)) {
    const type = kindOf(source);
    const own = source[type] as Readonly<Record<string, unknown>>;
    const at: Path = ['sources', name, type];
    for (const path of inlineSecrets(own)) {
      report([...at, ...path, 'inline'], INLINE);
    }
    for (const key of kinds[type].providerUrls) {
      [own[key]].flat().forEach((address, i) => {
        if (typeof address !== 'string' || !address.startsWith('http:')) return;
        const place = Array.isArray(own[key]) ? [...at, key, i] : [...at, key];
        report(place, 'expected https://; http to loopback needs mode: development');
      });
    }
  }
}

function refreshTokenStores({ sources, shared_cache: cache }: ConfigFile, report: Report): void {
  const taken = new Map<string, string>();
  for (const [name, { refresh_token: own }] of Object.entries(sources)) {
    if (own === undefined) continue;
    if (own.regions.length > 0) {
      report(
        ['sources', name, 'refresh_token', 'regions'],
        'expected none: a refresh token that was sent to one region must not be sent to another (RFC 9700, 4.14)',
      );
    }
    const { file, shared } = own.store;
    if (shared && cache === undefined) {
      report(
        ['sources', name, 'refresh_token', 'store', 'shared'],
        'needs shared_cache: it is kept in its Redis',
      );
    }
    if (file === undefined) continue;
    const first = taken.get(file);
    if (first !== undefined) {
      report(
        ['sources', name, 'refresh_token', 'store', 'file'],
        `the file is taken by sources.${first} already: each refresh token has its own`,
      );
    }
    taken.set(file, name);
  }
}

function sharedCache({ mode, sources, shared_cache: cache }: ConfigFile, report: Report): void {
  if (cache === undefined) return;
  if (mode !== 'development' && isReadOnTheWay(cache)) {
    report(
      ['shared_cache', 'redis'],
      'expected tls beyond loopback: entries are sealed, but the password and who asks for what are not',
    );
  }
  cache.per_user_sources.forEach((name, i) => {
    const at: Path = ['shared_cache', 'per_user_sources', i];
    const [origin, policy] = name.split(':', 2) as [string, string?];
    if (policy !== undefined && Object.hasOwn(sources, origin)) {
      report(at, `expected "${origin}": it stands for what its policies ask it for, too`);
    } else if (!Object.hasOwn(sources, name)) {
      report(at, unknownSource(name, Object.keys(sources)));
    } else if (sources[name]!.token_exchange?.subject_token.header === undefined) {
      report(
        at,
        `${name} has no tokens of single users: what it gives is everybody’s, and shared without this`,
      );
    }
  });
}

function subjects({ sources }: ConfigFile, report: Report): void {
  for (const [name, { required, token_exchange: exchange }] of Object.entries(sources)) {
    if (!required || exchange?.subject_token.header === undefined) continue;
    report(
      ['sources', name, 'required'],
      'true is not for credentials of subjects: there is none before the first request',
    );
  }
}
