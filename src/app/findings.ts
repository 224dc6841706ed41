// What somebody who looks at a running bearerd should know first, the worst on top. Pure; the page and the terminal show the
// same. Thresholds are those of the alerts (monitoring/).
import { durationText } from '../lib/duration-text.ts';
import { guardFindings } from './guard/findings.ts';
import type { Facts, Finding } from './status.ts';

const DAY_MS = 86_400_000;
/** A renewal that was asked for because of a refusal is under way at most this long. */
const HEALING_MS = 30_000;
/** How long what was healed, or was not, is worth a line. */
const RECENT_MS = 60_000;

const RANK = { critical: 0, warning: 1, note: 2 } as const;

export function findingsOf(status: Facts): readonly Finding[] {
  return [
    ...sources(status),
    ...subscribers(status),
    ...endpoints(status),
    ...healing(status),
    ...configuration(status),
    ...certificates(status),
    ...keeping(status),
  ].toSorted((a, b) => RANK[a.severity] - RANK[b.severity]);
}

function* sources({ sources: all, missing, now }: Facts): Iterable<Finding> {
  const told = new Set(all.map(({ source }) => source));
  for (const name of missing) {
    if (!told.has(name))
      yield { severity: 'critical', about: name, text: 'is missing: not ready without it' };
  }
  for (const one of all) {
    const { source, subjects, generation, expiresAt, nextRefreshAt, lastFailure, withheldScope } = one;
    const why = `${lastFailure}: ${one.lastFailureText}`;
    const about = `source ${source}`;
    const next = nextRefreshAt === undefined ? '' : `; next attempt in ${durationText(nextRefreshAt - now)}`;
    if (subjects !== undefined) {
      // Whom the provider does not take is for that caller to mend.
      const severity = lastFailure?.startsWith('subject_') ? 'note' : 'warning';
      if (lastFailure !== undefined) yield { severity, about, text: `the last fetch failed: ${why}` };
    } else if (generation === undefined) {
      if (lastFailure === undefined)
        yield { severity: 'note', about, text: 'waits for its first credential' };
      else yield { severity: 'critical', about, text: `no credential: ${why}${next}` };
    } else if (lastFailure !== undefined) {
      const left = expiresAt == null ? 'has no end' : `lasts ${durationText(expiresAt - now)} more`;
      yield {
        severity: 'warning',
        about,
        text: `renewal fails: ${why}; the credential ${left}${next}`,
      };
    }
    if (withheldScope !== undefined) {
      const text = `the provider does not grant all scope: without ${withheldScope.join(' ')}; ask for less, or have it granted`;
      yield { severity: 'warning', about, text };
    }
  }
}

function* subscribers({ subscribers: all, now }: Facts): Iterable<Finding> {
  for (const { node, listener, secrets } of all) {
    for (const { name, rejected } of secrets) {
      if (rejected === undefined) continue;
      yield {
        severity: 'critical',
        about: `Envoy ${node === '' ? `on ${listener}` : node}`,
        text: `refused the secret ${name} ${durationText(now - rejected.at)} ago and keeps the one before; its reason is in the log`,
      };
    }
  }
}

function* endpoints({ endpoints: all }: Facts): Iterable<Finding> {
  for (const { endpoint, breaker } of all) {
    if (breaker === 'closed') continue;
    yield {
      severity: 'warning',
      about: endpoint,
      text: 'does not answer as it should: its breaker is open, probes go on',
    };
  }
}

/** One finding a source: of its latest refusal that counted. */
function* healing({ feedback, now }: Facts): Iterable<Finding> {
  const told = new Set<string>();
  for (const { at, source, generation, refresh, renewed, verdict } of feedback) {
    if (verdict !== 'counted' || told.has(source) || now - (renewed?.at ?? at) > RECENT_MS) continue;
    told.add(source);
    const about = `source ${source}`;
    const what = `generation ${generation} was refused by an upstream`;
    if (refresh === 'refused_for_good') {
      yield { severity: 'critical', about, text: `${what}, as those before it: renewing does not help` };
    } else if (refresh === 'limited') {
      yield { severity: 'warning', about, text: `${what}; over the limit of renewals before time` };
    } else if (renewed !== undefined) {
      const text = `${what}; healed: generation ${renewed.generation} after ${renewed.at - at} ms`;
      yield { severity: 'note', about, text };
    } else if (refresh !== 'stale' && now - at <= HEALING_MS) {
      yield { severity: 'note', about, text: `${what}; healing: a new one is being fetched` };
    }
  }
}

function* configuration({ configuration: { refused }, guard, policyBundle }: Facts): Iterable<Finding> {
  if (refused !== undefined) {
    const text = `a newer one was refused, the one before stays in force: ${refused}`;
    yield { severity: 'warning', about: 'configuration', text };
  }
  if (policyBundle?.refused !== undefined) {
    const text = `the last answer was refused, the one before stays in force: ${policyBundle.refused}`;
    yield { severity: 'warning', about: `policy bundle ${policyBundle.name}`, text };
  }
  for (const one of guard) {
    for (const { what, fix } of guardFindings(one))
      yield { severity: 'warning', about: `policy ${one.policy}`, text: `guard: ${what}; ${fix}` };
  }
}

function* certificates({ certificates: all, now }: Facts): Iterable<Finding> {
  for (const { listener, notAfter, refused } of all) {
    const about = `certificate of ${listener}`;
    const leftMs = notAfter - now;
    if (leftMs < 7 * DAY_MS) {
      const text = leftMs <= 0 ? 'has ended' : `ends in ${durationText(leftMs)}`;
      yield { severity: leftMs < DAY_MS ? 'critical' : 'warning', about, text };
    }
    if (refused !== undefined)
      yield { severity: 'warning', about, text: `a newer one was refused: ${refused}` };
  }
}

function* keeping({ inputs, audit, sharedCache }: Facts): Iterable<Finding> {
  for (const { input, refused, currentAt } of inputs) {
    if (refused === undefined) continue;
    const meanwhile = currentAt === undefined ? 'there is none so far' : 'the last good one stays in force';
    yield { severity: 'warning', about: input, text: `${meanwhile}: ${refused}` };
  }
  if (audit?.state === 'failed')
    yield { severity: 'warning', about: 'audit', text: 'the trail cannot be written' };
  if (audit !== undefined && audit.lost > 0)
    yield { severity: 'warning', about: 'audit', text: `${audit.lost} records were lost` };
  if (sharedCache !== undefined && sharedCache.state !== 'up') {
    const { state, reason } = sharedCache;
    const what =
      state === 'down' ? 'is away, each process fetches for itself' : 'refuses a part of what is asked';
    yield { severity: 'warning', about: 'shared cache', text: `${what}: ${reason}` };
  }
}
