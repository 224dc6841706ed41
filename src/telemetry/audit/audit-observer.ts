// Turns events into audit records: who got which credential when, what was refused, what changed. Nothing per warm
// request: injections are one record per policy and generation a minute, callers that were let in one per policy and caller.
import type { Clock, Timer } from '../../lib/clock.ts';
import { TokenBuckets } from '../../lib/token-bucket.ts';
import { nullObserver, type Observer } from '../observer.ts';
import { createRepeatLimit } from '../repeat-limit.ts';
import { createAcceptedCallers } from './accepted-callers.ts';
import type { AuditLog } from './audit-log.ts';
import type { AuditFields } from './chain.ts';

const MINUTE_MS = 60_000;
/**
 * Of one policy. Whoever is refused decides how often: a flood must not fill the disk, nor hide the refusals of another policy.
 * What is left out is counted in the next record, within a minute.
 */
const DENIALS = { requests: 10, perMs: 1_000, burst: 100 };
/** Of what a caller or Envoy chose. A record that is longer than a line may be would break the chain at the next start. */
const MAX_TEXT = 1_024;

/** A policy and the counter of its injections, which only grows. */
export interface CountedPolicy {
  readonly name: string;
  readonly source: string;
  readonly injections: { readonly count: number };
}

export interface AuditObserver {
  readonly observer: Observer;
  /** Another configuration: begins to add up the injections of these policies, in place of those before. */
  watch(policies: readonly CountedPolicy[]): void;
  /** Writes what was added up so far. */
  stop(): void;
}

const cutText = (value: string | number | undefined) =>
  typeof value === 'string' ? value.slice(0, MAX_TEXT) : value;

export function createAuditObserver(log: AuditLog, clock: Clock): AuditObserver {
  const limit = createRepeatLimit(clock);
  const generations = new Map<string, number>();
  let watched: readonly CountedPolicy[] = [];
  let told = new Map<string, number>();
  let timer: Timer | undefined;

  /** Before a source changes its generation, what went out with the old one is written down. */
  function writeInjections(source?: string): void {
    for (const { name, source: of, injections } of watched) {
      if (source !== undefined && source !== of) continue;
      const count = injections.count - (told.get(name) ?? 0);
      if (count === 0) continue;
      told.set(name, injections.count);
      log.record('injected', { policy: name, source: of, generation: generations.get(of), count });
    }
  }

  function everyMinute(): void {
    timer = clock.setTimer(() => {
      writeCounts();
      everyMinute();
    }, MINUTE_MS);
  }

  const limited = (event: string, key: string, fields: Record<string, string | number>): void => {
    const omitted = limit.admit(key);
    if (omitted !== undefined) log.record(event, { ...fields, ...(omitted > 0 ? { omitted } : {}) });
  };

  const callers = createAcceptedCallers(log);
  const denials = new TokenBuckets(DENIALS);
  const omittedDenials = new Map<string, { readonly event: string; readonly fields: AuditFields }>();

  function writeCounts(): void {
    writeInjections();
    callers.write();
    for (const { event, fields } of omittedDenials.values()) log.record(event, fields);
    omittedDenials.clear();
  }

  /** `of` tells whose limit it is. */
  function refusal(event: string, of: string, fields: Record<string, string | number | undefined>): void {
    const now = clock.monotonic();
    const omitted = omittedDenials.get(of)?.fields['omitted'] as number | undefined;
    if (denials.of(of, now).take(now) > 0) {
      omittedDenials.set(of, { event, fields: { policy: fields['policy'], omitted: (omitted ?? 0) + 1 } });
      return;
    }
    omittedDenials.delete(of);
    const cut = Object.entries(fields).map(([name, value]) => [name, cutText(value)] as const);
    log.record(event, { ...Object.fromEntries(cut), omitted });
  }

  return {
    observer: {
      ...nullObserver,
      callerCount: callers.of,
      inboundRefused(policy, reason, decision, mode, request) {
        refusal('inbound_refused', policy ?? '', { policy, reason, decision, mode, ...request });
      },
      outboundDenied(policy, mode, request) {
        refusal('outbound_denied', `outbound ${policy}`, { policy, mode, ...request });
      },
      credentialPublished(source, generation, expiresAt) {
        writeInjections(source);
        generations.set(source, generation);
        log.record('credential_issued', {
          source,
          generation,
          expires_at: Number.isFinite(expiresAt) ? new Date(expiresAt).toISOString() : undefined,
        });
      },
      credentialExpired(source, generation) {
        writeInjections(source);
        log.record('credential_expired', { source, generation });
      },
      refreshFailed(source, reason) {
        limited('refresh_failed', `failed:${source}:${reason}`, { source, reason });
      },
      secretChanged(source) {
        log.record('secret_changed', { source });
      },
      refusalSeen(door, source, verdict) {
        if (verdict === 'counted')
          limited('refused_by_upstream', `refused:${door}:${source}`, { door, source });
      },
      refreshForced(source, outcome) {
        if (outcome === 'started' || outcome === 'refused_for_good') {
          limited('renewed_before_time', `forced:${source}:${outcome}`, { source, outcome });
        }
      },
      guardChanged(policy, alarm, { version, good }) {
        log.record('guard', { policy, alarm, version, good });
      },
      secretRejected(secretName, version, _detail, known) {
        // A peer may make up any name.
        limited('secret_rejected', `nack:${known ? secretName : ''}`, {
          secret: secretName.slice(0, MAX_TEXT),
          version,
        });
      },
      listenerChanged(listener, state, address) {
        log.record('listener', { listener, state, address });
      },
      certificateLoaded(listener, notAfter) {
        log.record('certificate_loaded', { listener, not_after: new Date(notAfter).toISOString() });
      },
      certificateRefused(listener) {
        limited('certificate_refused', `certificate:${listener}`, { listener });
      },
    },
    watch(policies) {
      writeCounts();
      watched = policies;
      told = new Map(policies.map(({ name, injections }) => [name, injections.count]));
      timer?.cancel();
      everyMinute();
    },
    stop() {
      timer?.cancel();
      writeCounts();
    },
  };
}
