// Metrics of the policy bundle; its age and refusals are those of an input (inbound-metrics.ts).
import { Gauge, type Registry } from 'prom-client';
import type { Clock } from '../../lib/clock.ts';
import type { Observer } from '../observer.ts';

export function createBundleMetrics(registers: Registry[], clock: Clock): Pick<Observer, 'bundleTaken'> {
  let inForce: { readonly serial: number; readonly expiresAt: number } | undefined;
  new Gauge({
    name: 'bearerd_policy_bundle_serial',
    help: 'Serial of the policy bundle in force.',
    registers,
    collect() {
      // Without a bundle there is nothing to tell.
      this.remove();
      if (inForce !== undefined) this.set(inForce.serial);
    },
  });
  new Gauge({
    name: 'bearerd_policy_bundle_runway_seconds',
    help: 'Seconds until the policy bundle in force expires, negative after it: it stays in force, but no restart takes it up again.',
    registers,
    collect() {
      this.remove();
      if (inForce !== undefined) this.set((inForce.expiresAt - clock.now()) / 1000);
    },
  });
  return {
    bundleTaken(serial, expiresAt) {
      inForce = { serial, expiresAt };
    },
  };
}
