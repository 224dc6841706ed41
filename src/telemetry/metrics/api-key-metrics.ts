// Metrics of API keys: ends and ages of a ring's keys, and what an upstream refused.
import { Counter, Gauge, type Registry } from 'prom-client';
import type { Clock } from '../../lib/clock.ts';
import type { KeyReport } from '../event-details.ts';
import type { Observer } from '../observer.ts';

type Events = Pick<Observer, 'keyRingRead' | 'keyRingRefused' | 'keyNoticed' | 'keyRefused'>;

export function createApiKeyMetrics(registers: Registry[], clock: Clock): Events {
  const rings = new Map<string, readonly KeyReport[]>();
  new Gauge({
    name: 'bearerd_api_key_runway_seconds',
    help: 'Seconds until an API key of a ring ends, negative after it; +Inf where it never ends by itself.',
    labelNames: ['source', 'key'],
    registers,
    collect() {
      this.reset();
      for (const [source, keys] of rings) {
        for (const { id, expiresAt } of keys) this.set({ source, key: id }, (expiresAt - clock.now()) / 1000);
      }
    },
  });
  new Gauge({
    name: 'bearerd_api_key_age_seconds',
    help: 'Seconds since the not_before of an API key of a ring.',
    labelNames: ['source', 'key'],
    registers,
    collect() {
      this.reset();
      for (const [source, keys] of rings) {
        for (const { id, notBefore } of keys) this.set({ source, key: id }, (clock.now() - notBefore) / 1000);
      }
    },
  });
  const keyNotices = new Counter({
    name: 'bearerd_api_key_notices_total',
    help: 'Days on which an API key gave reason to act: expires_within_7_days, expires_within_24_hours, expired, older_than_90_days.',
    labelNames: ['source', 'key', 'notice'],
    registers,
  });
  const refusedKeys = new Counter({
    name: 'bearerd_api_keys_refused_total',
    help: 'Refusals of an API key by an upstream.',
    labelNames: ['source', 'key'],
    registers,
  });
  const refusedRings = new Counter({
    name: 'bearerd_key_rings_refused_total',
    help: 'Readings of a ring file that could not be used.',
    labelNames: ['source'],
    registers,
  });
  return {
    // Ids come from the ring file, at most 100.
    keyRingRead(source, keys) {
      rings.set(source, keys);
    },
    keyRingRefused(source) {
      refusedRings.inc({ source });
    },
    keyNoticed(source, key, notice) {
      keyNotices.inc({ source, key, notice });
    },
    keyRefused(source, key) {
      refusedKeys.inc({ source, key });
    },
  };
}
