// Envoy configuration for a door: the one entrance to this folder. Text in, nothing else touched.
import type { Config } from '../../config/config.ts';
import type { TcpAddress } from '../../lib/address.ts';
import { toYaml } from '../../lib/commented-yaml.ts';
import { attemptRefusals } from './attempt-refusals.ts';
import type { ServingDoor } from './best-door.ts';
import { outboundBodyRefusals } from './body-limits.ts';
import { buildBootstrap, buildParts, type Parts } from './bootstrap.ts';
import { checkRefusals } from './check-refusals.ts';
import { plaintextRefusals } from './leak-guard.ts';
import { piecesText } from './pieces.ts';
import { type Door, planDoors } from './plan.ts';
import { GenerateError } from './problems.ts';
import { pushOnlyRefusals } from './push-refusals.ts';
import { resilienceRefusals } from './resilience.ts';
import type { Upstream, Upstreams } from './upstreams.ts';

export interface GenerateOptions {
  readonly door: Door;
  /** bootstrap: a whole configuration to try; pieces: the parts to put into one's own. Default bootstrap. */
  readonly form?: 'bootstrap' | 'pieces';
  /** Where Envoy takes the app's requests. Default 127.0.0.1:10000. */
  readonly listen?: TcpAddress;
  /** Where hosts really are; default: the host itself. */
  readonly upstreams?: Upstreams;
  /** Where Envoy finds the Check listener and, with TLS, what it shows there. Default: where it listens. */
  readonly checkUpstream?: Upstream;
}

const DEFAULT_LISTEN: TcpAddress = { kind: 'tcp', host: '127.0.0.1', port: 10000 };

/** YAML, the same for the same input. Throws GenerateError with everything that the door cannot serve. */
export function generateEnvoy(config: Config, options: GenerateOptions): string {
  const { door, form = 'bootstrap', listen = DEFAULT_LISTEN, upstreams = {}, checkUpstream } = options;
  const plan = planDoors(config, door);
  const serves = (serving: ServingDoor) => plan.policies.some((policy) => policy.door === serving);
  const problems = [
    ...(door === 'push' ? pushOnlyRefusals(config) : []),
    ...(door === 'attempt' ? attemptRefusals(config) : []),
    ...resilienceRefusals(plan),
    ...outboundBodyRefusals(config),
    ...plaintextRefusals(config, plan, upstreams),
    ...checkRefusals(plan.policies.filter((p) => p.door === 'check').map((p) => p.config)),
  ];
  const checks = serves('check') || config.unmatched === 'deny';
  const needsCheck = checks || serves('attempt');
  if (checks && config.listen.check === undefined) {
    problems.push(
      'listen.check is missing: the check door needs an address, also to watch policies in shadow',
    );
  }
  if (needsCheck && checkUpstream === undefined && listensOnAnyPort(config)) {
    problems.push('listen.check has port 0: Envoy has to be told a fixed one');
  }
  if (needsCheck && config.listen.check?.tls !== undefined && checkUpstream?.tls?.cert === undefined) {
    problems.push(
      'listen.check has tls: Envoy needs a client certificate; state where it finds bearerd with --check-upstream',
    );
  }
  const heals = plan.policies.some((policy) => policy.door === 'check' && !policy.config.deny);
  if (config.listen.xds.length === 0 && door !== 'push' && heals) {
    problems.push('listen.xds is missing: refused credentials are reported there');
  }
  if (config.listen.xds.length === 0 && config.accessLog === 'full') {
    problems.push('listen.xds is missing: with access_log: full every request is reported there');
  }
  if (config.outbound.length === 0) problems.push('outbound is empty: there is nothing to generate');
  for (const key of unknownUpstreams(config, upstreams)) {
    problems.push(
      `upstream ${key} is no host of a policy; stated ones are matched as written under match.hosts`,
    );
  }
  if (problems.length > 0) throw new GenerateError(problems);

  const parts: Parts = { config, plan, listen, upstreams, checkUpstream };
  return form === 'pieces'
    ? piecesText(buildParts(parts), plan)
    : toYaml(buildBootstrap(parts), heading(door, parts));
}

function listensOnAnyPort({ listen }: Config): boolean {
  return listen.check?.listener.kind === 'tcp' && listen.check.listener.port === 0;
}

function unknownUpstreams(config: Config, upstreams: Upstreams): string[] {
  const known = new Set(['*']);
  for (const host of config.outbound.flatMap((policy) => policy.match.hosts)) {
    const name = host.wildcard ? `*.${host.name}` : host.name;
    known.add(name);
    if (host.port !== undefined) known.add(`${name}:${host.port}`);
  }
  return Object.keys(upstreams).filter((key) => !known.has(key));
}

function heading(door: Door, { plan }: Parts): string {
  const lines = plan.policies.map((p) => `  ${p.name}: ${p.door}`);
  const why = {
    both: ['Each policy is served by push where Envoy can decide alone, and by check otherwise:', ...lines],
    best: ['Each policy is served by the door that serves it best:', ...lines],
  };
  return [
    `Made by "bearerd generate envoy --door ${door}". The app sends plain HTTP to the listener, with its own Host.`,
    ...(door === 'both' || door === 'best' ? why[door] : [`Every policy is served by the ${door} door.`]),
    'Nothing here may rewrite host or path before the router: policies mean the request as the app sent it.',
  ].join('\n');
}
