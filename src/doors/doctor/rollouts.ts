// What the configuration of bearerd says by now and Envoy, generated for an earlier one, does not do: modes that push does not
// follow, headers that never come to bearerd, an inbound side that nobody asks. Pure.
import type { Config } from '../../config/config.ts';
import { shareSecretName } from '../../policy/rollout.ts';
import { readHeaders } from '../../policy/subject-headers.ts';
import { MARK } from '../attempt/request.ts';
import { type Json, json, list } from '../envoy-json.ts';
import { INBOUND_CHECK_CLUSTER } from '../generate/inbound/inbound.ts';
import { headerNames } from '../inbound/header-names.ts';
import { metadataOf, processorsOf } from './carriers.ts';
import { askedCluster, type EnvoyState, metadataOfCluster, ofType } from './envoy-state.ts';
import { type Finding, GENERATE } from './finding.ts';

export function rollouts(config: Config, state: EnvoyState): Finding[] {
  return [...pushed(config, state), ...headersSent(config, state), ...inbound(config, state)];
}

/** An injector without a share puts its credential on every request, whatever the mode has become. */
function pushed({ outbound }: Config, { objects }: EnvoyState): Finding[] {
  const served = new Set(
    objects
      .map(({ object }) => metadataOfCluster(object))
      .filter(({ door }) => door === 'push')
      .map(({ policy }) => policy),
  );
  const shares = new Set(objects.map(({ object }) => object['name']));
  return outbound.flatMap(({ name, rollout: { mode, percent } }): Finding[] => {
    if (!served.has(name) || shares.has(shareSecretName(name))) return [];
    if (mode === 'enforce' && percent === undefined) return [];
    return [
      {
        severity: 'error',
        what: `policy ${name} has the mode ${percent === undefined ? mode : `{ percent: ${percent} }`}, and Envoy injects its credential into every request: the injector was generated for enforce`,
        fix: `${GENERATE}: push follows the mode only where it was generated for a share (docs/rollout.md)`,
      },
    ];
  });
}

/** A header that is not sent looks like one that the app did not set. */
function headersSent(config: Config, state: EnvoyState): Finding[] {
  const check = ofType(state, 'ext_authz.v3.ExtAuthz').flatMap(({ object }) => {
    const cluster = askedCluster(object);
    const read =
      cluster === 'bearerd_check'
        ? readHeaders(config)
        : cluster === INBOUND_CHECK_CLUSTER && config.inbound !== undefined
          ? headerNames(config.inbound, config.tracing !== undefined)
          : [];
    return missing(read, json(object['allowed_headers']));
  });
  const attempt = processorsOf(state).flatMap(({ object }) => {
    const policies = String(metadataOf(object)[MARK]).split(',');
    const outbound = config.outbound.filter(({ name }) => policies.includes(name));
    return missing(
      readHeaders({ outbound, tracing: config.tracing }),
      json(json(object['forward_rules'])['allowed_headers']),
    );
  });
  return [...new Set([...check, ...attempt])].map((header) => ({
    severity: 'error',
    what: `the configuration reads the header ${header}, which Envoy does not send to bearerd: every request looks as if it had none`,
    fix: GENERATE,
  }));
}

/** Without a list all are sent; a pattern that is no exact name was written by somebody who knows why. */
function missing(read: readonly string[], allowed: Json): readonly string[] {
  const patterns = list(allowed['patterns']).map(json);
  if (patterns.length === 0 || patterns.some((one) => typeof one['exact'] !== 'string')) return [];
  const sent = new Set(patterns.map((one) => String(one['exact']).toLowerCase()));
  return read.filter((header) => !sent.has(header));
}

function inbound(config: Config, state: EnvoyState): Finding[] {
  if (config.inbound === undefined) return [];
  const asks = ofType(state, 'ext_authz.v3.ExtAuthz').some(
    // Istio's own CUSTOM action asks by a cluster of its own.
    ({ object }) => askedCluster(object) === INBOUND_CHECK_CLUSTER || 'filter_enabled_metadata' in object,
  );
  if (asks) return [];
  return [
    {
      severity: 'warning',
      what: 'no listener of this Envoy asks bearerd about incoming requests: the inbound policies are in force for none',
      fix: 'apply what "bearerd generate envoy --door inbound" writes, unless another Envoy has it',
    },
  ];
}
