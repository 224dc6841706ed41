// Metrics of the push door: who is subscribed, and whether Envoy takes what is pushed.
import { Counter, Gauge, type Registry } from 'prom-client';
import type { Observer } from '../observer.ts';

type Events = Pick<
  Observer,
  'secretSubscribed' | 'secretUnsubscribed' | 'secretAcknowledged' | 'secretRejected'
>;

export function createPushMetrics(registers: Registry[]): Events {
  const subscribers = new Gauge({
    name: 'bearerd_secret_subscribers',
    help: 'SDS subscriptions open now, by whether a policy names the secret.',
    labelNames: ['known'],
    registers,
  });
  const nacks = new Counter({
    name: 'bearerd_secret_nacks_total',
    help: 'Secrets that Envoy refused.',
    registers,
  });
  const acks = new Counter({
    name: 'bearerd_secret_acks_total',
    help: 'Secrets that Envoy acknowledged.',
    registers,
  });
  return {
    // A peer may ask for any name, so names never become labels.
    secretSubscribed(_secretName, known) {
      subscribers.inc({ known: String(known) });
    },
    secretUnsubscribed(_secretName, known) {
      subscribers.dec({ known: String(known) });
    },
    secretAcknowledged() {
      acks.inc();
    },
    secretRejected() {
      nacks.inc();
    },
  };
}
