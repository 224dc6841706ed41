// Turns events into log lines. Nothing of a warm request is logged; repeats are limited.
import type { Clock } from '../lib/clock.ts';
import { createEventLines } from './event-lines.ts';
import { FAULT_TEXTS, GUARD_TEXTS, HINDRANCE_TEXTS, NOTICE_TEXTS, REFUSAL_TEXTS } from './log-texts.ts';
import type { Logger } from './logger.ts';
import { nullObserver, type Observer } from './observer.ts';
import { createRepeatLimit } from './repeat-limit.ts';

const iso = (epochMs: number): string =>
  Number.isFinite(epochMs) ? new Date(epochMs).toISOString() : 'never';

/** Of our clock against a provider's: half of the least leeway that upstreams usually grant. */
const SKEW_WARNING_MS = 5_000;
/** With this much upstreams and providers begin to refuse what is valid. */
const SKEW_ALARM_MS = 30_000;

/** Envoy's faults of validation, `… failed (WHY): `, end with the message in protobuf's text form, the secret included. */
function beforeContent(text: string): string {
  const end = text.indexOf('): ');
  return end === -1 ? text.split('"', 1)[0]! : text.slice(0, end + 1);
}

export function createLogObserver(log: Logger, clock: Clock): Observer {
  return createEventLines(log, (completed) => linesOf(completed, clock));
}

function linesOf(log: Logger, clock: Clock): Observer {
  const limit = createRepeatLimit(clock);
  const open = new Set<string>();
  /** Sources that got less than they asked for. */
  const narrowed = new Set<string>();

  /** A line that carries how many equal ones were left out before it; undefined = it is left out itself. */
  function once(key: string): Pick<Logger, 'info' | 'warn' | 'error'> | undefined {
    const omitted = limit.admit(key);
    if (omitted === undefined) return undefined;
    return {
      info: (fields, message) => log.info({ ...fields, omitted }, message),
      warn: (fields, message) => log.warn({ ...fields, omitted }, message),
      error: (fields, message) => log.error({ ...fields, omitted }, message),
    };
  }

  return {
    ...nullObserver,

    processStarted(version, { node, options, risky, coreFilesEmpty }) {
      const fields = { version, nodejs: node, options: options.join(' '), coreFilesEmpty };
      if (risky.length === 0) log.info(fields, 'starting');
      else {
        log.warn(
          { ...fields, risky: risky.join(' ') },
          'starting with options by which credentials can leave this process: remove them in production',
        );
      }
    },
    configurationTaken(revision, hash) {
      log.info({ revision, hash }, 'another configuration took over');
    },
    configurationRefused(file, problems) {
      log.error({ file, problems }, 'the configuration was not taken over: the one before stays in force');
    },
    guardChanged(policy, alarm, detail) {
      if (alarm === undefined) log.info({ policy, ...detail }, 'the alarm of the guard is over');
      else log.error({ policy, alarm, ...detail }, GUARD_TEXTS[alarm]);
    },
    guardProven(policy, version) {
      log.info({ policy, version }, 'a version of a policy ran without alarm: the guard steps back to it');
    },
    guardHindered(what, reason) {
      once(`guard:${what}`)?.warn({ reason }, HINDRANCE_TEXTS[what]);
    },
    bundleTaken(serial, expiresAt) {
      log.info({ serial, expiresAt: iso(expiresAt) }, 'a policy bundle took over');
    },
    refreshFailed(source, code, message, nextAttemptMs) {
      once(`refresh:${source}:${code}`)?.warn(
        { source, code, nextAttemptMs: Math.round(nextAttemptMs) },
        `no new credential: ${message}`,
      );
    },
    credentialPublished(source, generation, expiresAt, keyId, issuedBy) {
      const fallback = issuedBy === source ? undefined : issuedBy;
      log.info({ source, generation, keyId, fallback, expiresAt: iso(expiresAt) }, 'credential published');
    },
    credentialExpired(source, generation) {
      log.error({ source, generation }, 'the last credential ended without a new one: requests are refused');
    },
    breakerChanged(endpoint, state) {
      // Half open comes with each probe, and closed at the start.
      if (state === 'half_open' || (open.has(endpoint) ? 'open' : 'closed') === state) return;
      if (state === 'open') {
        open.add(endpoint);
        log.warn({ endpoint }, 'the token endpoint is away: only probes are sent');
      } else {
        open.delete(endpoint);
        log.info({ endpoint }, 'the token endpoint is back');
      }
    },
    endpointRefused(endpoint, why) {
      // The breaker says itself when it opens; of the rest nothing is usual.
      if (why !== 'refresh_cap' && why !== 'queue_full') return;
      once(`endpoint:${endpoint}:${why}`)?.warn({ endpoint, why }, REFUSAL_TEXTS[why]);
    },
    clockSkewSeen(provider, skewMs) {
      const distance = Math.abs(skewMs);
      if (distance <= SKEW_WARNING_MS) return;
      const alarm = distance > SKEW_ALARM_MS;
      const fields = { provider, skewSeconds: Math.round(skewMs / 100) / 10 };
      const line = once(`skew:${provider}:${alarm}`);
      if (alarm)
        line?.error(fields, 'our clock and the provider’s are far apart: valid tokens may be refused');
      else line?.warn(fields, 'our clock and the provider’s differ');
    },
    fallbackUsed(source, fallback, because) {
      once(`fallback:${source}`)?.warn(
        { source, fallback, because },
        'a source is away: its fallback gives the credential',
      );
    },
    secretShared(source, other) {
      log.error({ source, other }, 'one secret in two environments: whoever has it in one has it in both');
    },
    scopeWithheld(source, scope) {
      if (scope.length > 0) {
        narrowed.add(source);
        once(`scope:${source}`)?.warn(
          { source, scope: scope.join(' ') },
          'the provider grants less scope than the configuration asks for',
        );
      } else if (narrowed.delete(source)) {
        once(`scope:${source}:all`)?.info({ source }, 'the provider grants all scope again');
      }
    },
    secretChanged(source) {
      log.info({ source }, 'a secret file changed: renewing');
    },
    refreshTokenStored(source, expiresAt) {
      log.info({ source, expiresAt: iso(expiresAt ?? Number.NaN) }, 'refresh token stored');
    },
    refreshTokenEnding(source, expiresAt) {
      log.warn(
        { source, expiresAt: iso(expiresAt) },
        'the refresh token ends within 7 days: run bearerd login',
      );
    },
    refreshTokenInDoubt(source) {
      once(`doubt:${source}`)?.warn(
        { source },
        'an earlier call with the refresh token had no known answer: the same token is tried again',
      );
    },
    loginRequired(source, reason) {
      once(`login:${source}`)?.error({ source }, `login required: ${reason}`);
    },
    keyRingRefused(source, reason) {
      once(`ring:${source}`)?.error(
        { source, reason },
        'the ring file cannot be used: the last good one stays in force',
      );
    },
    keyNoticed(source, keyId, notice) {
      const isUrgent = notice === 'expires_within_24_hours' || notice === 'expired';
      log[isUrgent ? 'error' : 'warn']({ source, keyId, notice }, NOTICE_TEXTS[notice]);
    },
    keyRefused(source, keyId) {
      once(`key:${source}:${keyId}`)?.error(
        { source, keyId },
        'an upstream refused an API key: the next one takes its place',
      );
    },
    sharedCacheRead(source, result) {
      if (result !== 'not_opened' && result !== 'replayed') return;
      once(`shared:${source}:${result}`)?.warn(
        { source, result },
        'an entry of the shared cache is not usable: fetching',
      );
    },
    sharedCacheChanged(state, reason) {
      const line = once(`shared:${state}:${reason}`);
      if (state === 'up') line?.info({}, 'the shared cache is in use');
      else if (state === 'down')
        line?.warn({ reason }, 'the shared cache is away: this process is on its own');
      else line?.warn({ reason }, 'the shared cache refuses a part of what is asked');
    },
    refusalSeen(door, source, verdict, refused) {
      if (verdict !== 'counted' && verdict !== 'in_doubt') return;
      const { policy, generation } = refused ?? {};
      once(`refusal:${door}:${source}:${verdict}`)?.warn(
        { door, source, policy, generation, verdict },
        'an upstream refused a credential',
      );
    },
    feedbackLate(policy) {
      once(`late:${policy}`)?.warn(
        { policy },
        'Envoy did not tell in time why an attempt failed: nothing is renewed',
      );
    },
    refreshForced(source, outcome) {
      if (outcome === 'refused_for_good') {
        once(`forced:${source}:${outcome}`)?.error(
          { source, outcome },
          'three new credentials in a row were refused at once: audience, scope or client are likely wrong, not the token',
        );
      } else if (outcome === 'started' || outcome === 'limited') {
        once(`forced:${source}:${outcome}`)?.warn({ source, outcome }, 'renewal before time');
      }
    },
    secretSubscribed(secretName, known) {
      // A peer may make up any name.
      const omitted = limit.admit(`subscribed:${known ? secretName : ''}`);
      if (omitted === undefined) return;
      if (known) log.info({ secretName, omitted }, 'Envoy subscribed to a secret');
      else
        log.warn(
          { secretName, omitted },
          'Envoy asks for a secret that no policy names: it gets an empty one and answers 503',
        );
    },
    secretRejected(secretName, version, detail, known) {
      once(`nack:${known ? secretName : ''}`)?.error(
        { secretName, version, detail: beforeContent(detail).slice(0, 300) },
        'Envoy refused a secret (NACK) and keeps the old one',
      );
    },
    peerFault(listener, fault) {
      once(`peer:${listener}:${fault}`)?.warn(
        { listener, fault },
        FAULT_TEXTS[fault] ?? 'a peer broke a rule',
      );
    },
    listenerChanged(listener, state, address) {
      log.info({ listener, state, address }, `${listener} ${state}`);
    },
    certificateLoaded(listener, notAfter) {
      log.info({ listener, notAfter: new Date(notAfter).toISOString() }, 'certificate loaded');
    },
    certificateRefused(listener, reason) {
      once(`certificate:${listener}`)?.error(
        { listener, reason },
        'new certificate files are not usable: the last good ones serve on',
      );
    },
    inboundRefused(policy, reason, decision, mode) {
      once(`inbound:${policy ?? ''}:${reason}`)?.info(
        { policy, reason, decision },
        mode === 'shadow' ? 'incoming request would have been refused' : 'incoming request refused',
      );
    },
    outboundDenied(policy, mode) {
      once(`denied:${policy}`)?.info(
        { policy },
        mode === 'shadow' ? 'request would have been denied' : 'request denied',
      );
    },
    inputLoaded(input, entries) {
      log.info({ input, entries }, 'read anew');
    },
    inputRefused(input, reason) {
      once(`input:${input}:${reason}`)?.error(
        { input, reason },
        'not usable: the last good one, if there is one, counts on',
      );
    },
    spansLost(count) {
      once('spans')?.warn({ count }, 'the collector does not take spans: they are lost');
    },
    unexpected(where, error) {
      // Only the class and code of an unknown error: its text may quote what it failed on.
      const name = error instanceof Error ? error.name : typeof error;
      const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
      once(`unexpected:${where}`)?.error({ where, error: name, code }, 'unexpected error');
    },
  };
}
