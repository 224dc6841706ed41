// Metrics of credentials: how long each lasts, how it was got, and for how many subjects.
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { Clock } from '../../lib/clock.ts';
import type { Observer } from '../observer.ts';

type Events = Pick<
  Observer,
  | 'refreshEnded'
  | 'credentialPublished'
  | 'credentialExpired'
  | 'fallbackUsed'
  | 'secretShared'
  | 'scopeWithheld'
  | 'subjectsHeld'
  | 'subjectEvicted'
  | 'refreshTokenStored'
  | 'loginRequired'
>;

export function createCredentialMetrics(registers: Registry[], clock: Clock): Events {
  const credentials = new Map<string, { generation: number; expiresAt: number }>();
  const refreshTokens = new Map<string, number>();
  new Gauge({
    name: 'bearerd_credential_runway_seconds',
    help: 'Seconds until the current credential of a source ends; 0 without one, +Inf where it never ends by itself.',
    labelNames: ['source'],
    registers,
    collect() {
      for (const [source, { expiresAt }] of credentials) {
        this.set({ source }, Math.max(0, (expiresAt - clock.now()) / 1000));
      }
    },
  });
  const lifetimes = new Gauge({
    name: 'bearerd_credential_lifetime_seconds',
    help: 'Seconds that the current credential of a source had left when it was taken over; +Inf where it never ends by itself.',
    labelNames: ['source'],
    registers,
  });
  new Gauge({
    name: 'bearerd_credential_generation',
    help: 'Generation of the current credential of a source. Counts up over all sources.',
    labelNames: ['source'],
    registers,
    collect() {
      for (const [source, { generation }] of credentials) this.set({ source }, generation);
    },
  });
  const subjects = new Gauge({
    name: 'bearerd_subject_credentials',
    help: 'Subjects of a source that have a credential now.',
    labelNames: ['source'],
    registers,
  });
  const evictions = new Counter({
    name: 'bearerd_subject_evictions_total',
    help: 'Credentials of subjects that made room for others: limits.credential_bytes.',
    labelNames: ['source'],
    registers,
  });
  new Gauge({
    name: 'bearerd_refresh_token_runway_seconds',
    help: 'Seconds until the stored refresh token of a source ends, where its end is known; 0 when it has.',
    labelNames: ['source'],
    registers,
    collect() {
      this.reset();
      for (const [source, expiresAt] of refreshTokens) {
        this.set({ source }, Math.max(0, (expiresAt - clock.now()) / 1000));
      }
    },
  });
  const logins = new Gauge({
    name: 'bearerd_login_required',
    help: '1 while a source waits for somebody to log in, else 0.',
    labelNames: ['source'],
    registers,
  });
  const fallbacks = new Counter({
    name: 'bearerd_fallbacks_total',
    help: 'Credentials that a fallback gave because the source was away.',
    labelNames: ['source', 'fallback', 'because'],
    registers,
  });
  const sharedSecrets = new Gauge({
    name: 'bearerd_shared_secret',
    help: '1 = sources of two environments have one secret.',
    labelNames: ['source', 'other'],
    registers,
  });
  const withheld = new Gauge({
    name: 'bearerd_withheld_scopes',
    help: 'Scopes that a source asks for and that its provider did not grant with the last token.',
    labelNames: ['source'],
    registers,
  });
  const refreshes = new Histogram({
    name: 'bearerd_refresh_duration_seconds',
    help: 'Time that a provider or file took for one credential, by result.',
    labelNames: ['source', 'result', 'forced'],
    buckets: [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers,
  });
  return {
    refreshEnded(source, result, durationMs, wasForced) {
      refreshes.observe({ source, result, forced: String(wasForced) }, durationMs / 1000);
    },
    credentialPublished(source, generation, expiresAt) {
      credentials.set(source, { generation, expiresAt });
      lifetimes.set({ source }, Math.max(0, (expiresAt - clock.now()) / 1000));
    },
    credentialExpired(source, generation) {
      credentials.set(source, { generation, expiresAt: 0 });
    },
    fallbackUsed(source, fallback, because) {
      fallbacks.inc({ source, fallback, because });
    },
    secretShared(source, other) {
      sharedSecrets.set({ source, other }, 1);
    },
    scopeWithheld(source, scope) {
      withheld.set({ source }, scope.length);
    },
    subjectsHeld(source, count) {
      subjects.set({ source }, count);
    },
    subjectEvicted(source) {
      evictions.inc({ source });
    },
    refreshTokenStored(source, expiresAt) {
      if (expiresAt === undefined) refreshTokens.delete(source);
      else refreshTokens.set(source, expiresAt);
      logins.set({ source }, 0);
    },
    loginRequired(source) {
      logins.set({ source }, 1);
    },
  };
}
