// Turns events into log lines. Nothing of a warm request is logged; repeats are limited.
import type { Clock } from '../lib/clock.ts';
import { createEventLines } from './event-lines.ts';
import type { Logger } from './logger.ts';
import { type GuardAlarm, type KeyNotice, nullObserver, type Observer } from './observer.ts';
import { createRepeatLimit } from './repeat-limit.ts';

const iso = (epochMs: number): string =>
  Number.isFinite(epochMs) ? new Date(epochMs).toISOString() : 'never';

/** What to change, where it is on the other side. */
const FAULT_TEXTS: Readonly<Record<string, string>> = {
  tls_version:
    'a peer offered no TLS 1.3: Envoy needs tls_maximum_protocol_version: TLSv1_3 in the cluster of bearerd',
  tls_handshake: 'a peer came without a client certificate of client_ca, or without TLS',
  client_not_allowed: 'a client certificate has no URI name that allowed_uris lists',
};

const REFUSAL_TEXTS = {
  refresh_cap: 'the cap of renewals an hour is reached (limits.refreshes_per_hour)',
  queue_full: 'more calls wait for this provider than may: the last in line are refused',
};

/** Of our clock against a provider's: half of the least leeway that upstreams usually grant. */
const SKEW_WARNING_MS = 5_000;
/** With this much upstreams and providers begin to refuse what is valid. */
const SKEW_ALARM_MS = 30_000;

const GUARD_TEXTS: Readonly<Record<GuardAlarm, string>> = {
  stepped_back:
    'too many requests of a policy are refused or find no credential: its last good version injects in its place',
  withdrawn:
    'too many requests of a policy are refused or find no credential: it is in force for none of them, as before the share',
  nothing_to_step_back_to:
    'too many requests of a policy are refused or find no credential, and no version of it was good before: it stays in force',
};

const HINDRANCE_TEXTS = {
  envoy_admin: 'the statistics of Envoy cannot be read: the guard does not see the push door (envoy_admin)',
  totals: 'the guard of a policy sees none of its requests: it cannot step back',
  state_dir: 'the state of the guard cannot be kept: it does not outlive a restart (state_dir)',
};

const NOTICE_TEXTS: Readonly<Record<KeyNotice, string>> = {
  expires_within_7_days: 'an API key ends within 7 days: activate its successor',
  expires_within_24_hours: 'an API key ends within 24 hours: activate its successor now',
  expired: 'an API key that is switched on has ended: suspend or revoke it',
  older_than_90_days: 'an API key is older than 90 days: renew it',
};

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
      const omitted = limit.admit(`guard:${what}`);
      if (omitted === undefined) return;
      log.warn({ reason, omitted }, HINDRANCE_TEXTS[what]);
    },
    bundleTaken(serial, expiresAt) {
      log.info({ serial, expiresAt: iso(expiresAt) }, 'a policy bundle took over');
    },
    refreshFailed(source, code, message, nextAttemptMs) {
      const omitted = limit.admit(`refresh:${source}:${code}`);
      if (omitted === undefined) return;
      log.warn(
        { source, code, omitted, nextAttemptMs: Math.round(nextAttemptMs) },
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
      const omitted = limit.admit(`endpoint:${endpoint}:${why}`);
      if (omitted === undefined) return;
      log.warn({ endpoint, why, omitted }, REFUSAL_TEXTS[why]);
    },
    clockSkewSeen(provider, skewMs) {
      const distance = Math.abs(skewMs);
      if (distance <= SKEW_WARNING_MS) return;
      const alarm = distance > SKEW_ALARM_MS;
      const omitted = limit.admit(`skew:${provider}:${alarm}`);
      if (omitted === undefined) return;
      const fields = { provider, skewSeconds: Math.round(skewMs / 100) / 10, omitted };
      if (alarm) log.error(fields, 'our clock and the provider’s are far apart: valid tokens may be refused');
      else log.warn(fields, 'our clock and the provider’s differ');
    },
    fallbackUsed(source, fallback, because) {
      const omitted = limit.admit(`fallback:${source}`);
      if (omitted === undefined) return;
      log.warn({ source, fallback, because, omitted }, 'a source is away: its fallback gives the credential');
    },
    secretShared(source, other) {
      log.error({ source, other }, 'one secret in two environments: whoever has it in one has it in both');
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
      const omitted = limit.admit(`doubt:${source}`);
      if (omitted === undefined) return;
      log.warn(
        { source, omitted },
        'an earlier call with the refresh token had no known answer: the same token is tried again',
      );
    },
    loginRequired(source, reason) {
      const omitted = limit.admit(`login:${source}`);
      if (omitted === undefined) return;
      log.error({ source, omitted }, `login required: ${reason}`);
    },
    keyRingRefused(source, reason) {
      const omitted = limit.admit(`ring:${source}`);
      if (omitted === undefined) return;
      log.error(
        { source, reason, omitted },
        'the ring file cannot be used: the last good one stays in force',
      );
    },
    keyNoticed(source, keyId, notice) {
      const isUrgent = notice === 'expires_within_24_hours' || notice === 'expired';
      log[isUrgent ? 'error' : 'warn']({ source, keyId, notice }, NOTICE_TEXTS[notice]);
    },
    keyRefused(source, keyId) {
      const omitted = limit.admit(`key:${source}:${keyId}`);
      if (omitted === undefined) return;
      log.error({ source, keyId, omitted }, 'an upstream refused an API key: the next one takes its place');
    },
    sharedCacheRead(source, result) {
      if (result !== 'not_opened' && result !== 'replayed') return;
      const omitted = limit.admit(`shared:${source}:${result}`);
      if (omitted === undefined) return;
      log.warn({ source, result, omitted }, 'an entry of the shared cache is not usable: fetching');
    },
    sharedCacheFailed(fault) {
      const omitted = limit.admit(`shared:${fault}`);
      if (omitted === undefined) return;
      log.warn({ fault, omitted }, 'the shared cache gave no answer: this process is on its own meanwhile');
    },
    sharedCacheChanged(state) {
      const omitted = limit.admit(`shared:${state}`);
      if (omitted === undefined) return;
      if (state === 'up') log.info({ omitted }, 'the shared cache answers');
      else log.warn({ omitted }, 'the shared cache is left alone for a while');
    },
    refusalSeen(door, source, verdict, refused) {
      if (verdict !== 'counted' && verdict !== 'in_doubt') return;
      const omitted = limit.admit(`refusal:${door}:${source}:${verdict}`);
      if (omitted === undefined) return;
      const { policy, generation } = refused ?? {};
      log.warn({ door, source, policy, generation, verdict, omitted }, 'an upstream refused a credential');
    },
    feedbackLate(policy) {
      const omitted = limit.admit(`late:${policy}`);
      if (omitted === undefined) return;
      log.warn({ policy, omitted }, 'Envoy did not tell in time why an attempt failed: nothing is renewed');
    },
    refreshForced(source, outcome) {
      if (outcome === 'refused_for_good') {
        const omitted = limit.admit(`forced:${source}:${outcome}`);
        if (omitted === undefined) return;
        log.error(
          { source, outcome, omitted },
          'three new credentials in a row were refused at once: audience, scope or client are likely wrong, not the token',
        );
      } else if (outcome === 'started' || outcome === 'limited') {
        const omitted = limit.admit(`forced:${source}:${outcome}`);
        if (omitted === undefined) return;
        log.warn({ source, outcome, omitted }, 'renewal before time');
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
    secretRejected(secretName, version, detail) {
      const omitted = limit.admit(`nack:${secretName}`);
      if (omitted === undefined) return;
      log.error(
        { secretName, version, omitted, detail: beforeContent(detail).slice(0, 300) },
        'Envoy refused a secret (NACK) and keeps the old one',
      );
    },
    peerFault(listener, fault) {
      const omitted = limit.admit(`peer:${listener}:${fault}`);
      if (omitted === undefined) return;
      log.warn({ listener, fault, omitted }, FAULT_TEXTS[fault] ?? 'a peer broke a rule');
    },
    listenerChanged(listener, state, address) {
      log.info({ listener, state, address }, `${listener} ${state}`);
    },
    certificateLoaded(listener, notAfter) {
      log.info({ listener, notAfter: new Date(notAfter).toISOString() }, 'certificate loaded');
    },
    certificateRefused(listener, reason) {
      const omitted = limit.admit(`certificate:${listener}`);
      if (omitted === undefined) return;
      log.error(
        { listener, reason, omitted },
        'new certificate files are not usable: the last good ones serve on',
      );
    },
    inboundRefused(policy, reason, decision, mode) {
      const omitted = limit.admit(`inbound:${policy ?? ''}:${reason}`);
      if (omitted === undefined) return;
      log.info(
        { policy, reason, decision, omitted },
        mode === 'shadow' ? 'incoming request would have been refused' : 'incoming request refused',
      );
    },
    outboundDenied(policy, mode) {
      const omitted = limit.admit(`denied:${policy}`);
      if (omitted === undefined) return;
      log.info({ policy, omitted }, mode === 'shadow' ? 'request would have been denied' : 'request denied');
    },
    inputLoaded(input, entries) {
      log.info({ input, entries }, 'read anew');
    },
    inputRefused(input, reason) {
      const omitted = limit.admit(`input:${input}:${reason}`);
      if (omitted === undefined) return;
      log.error({ input, reason, omitted }, 'not usable: the last good one counts on');
    },
    spansLost(count) {
      const omitted = limit.admit('spans');
      if (omitted === undefined) return;
      log.warn({ count, omitted }, 'the collector does not take spans: they are lost');
    },
    unexpected(where, error) {
      const omitted = limit.admit(`unexpected:${where}`);
      if (omitted === undefined) return;
      // Only the class and code of an unknown error: its text may quote what it failed on.
      const name = error instanceof Error ? error.name : typeof error;
      const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
      log.error({ where, error: name, code, omitted }, 'unexpected error');
    },
  };
}
