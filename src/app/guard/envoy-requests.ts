// Asks the Envoy beside us how many requests it served by push. Its counters begin anew with it; ours go on.
import type { Config } from '../../config/config.ts';
import {
  type PolicyOfCluster,
  type PushedRequests,
  policyOfCluster,
  readPushedRequests,
  STATISTICS,
} from '../../doors/push/envoy-statistics.ts';
import type { ListenAddress } from '../../lib/address.ts';
import { askJson } from '../../lib/ask-json.ts';
import type { Observer } from '../../telemetry/observer.ts';
import { BLIND } from './texts.ts';

export interface EnvoyRequests {
  /** By policy, since the first answer. What was known before, where there is no answer now. */
  read(config: Config): Promise<ReadonlyMap<string, PushedRequests>>;
  /** Why nothing is known of a policy by the last answer; undefined = its requests are counted. */
  unseen(policy: string): string | undefined;
  /** What comes until the next answer counts for nobody. */
  pause(): void;
}

const TIMEOUT_MS = 900;
const MAX_BYTES = 8 << 20;

export function createEnvoyRequests(address: ListenAddress, observer: Observer): EnvoyRequests {
  let told: ReadonlyMap<string, PushedRequests> | undefined;
  const sums = new Map<string, PushedRequests>();
  let fault: string | undefined;
  let known: { readonly config: Config; readonly policyOf: PolicyOfCluster } | undefined;
  return {
    async read(config) {
      if (known?.config !== config) known = { config, policyOf: policyOfCluster(config) };
      let now: ReadonlyMap<string, PushedRequests>;
      try {
        now = readPushedRequests(await ask(address), known.policyOf);
      } catch (error) {
        fault = `the statistics of Envoy cannot be read: ${(error as Error).message}`;
        observer.guardHindered('envoy_admin', (error as Error).message);
        return sums;
      }
      fault = undefined;
      for (const [policy, counts] of now) {
        // The first time nobody knows how old they are.
        const before = told === undefined ? counts : told.get(policy);
        sums.set(policy, added(sums.get(policy), since(counts, before)));
      }
      told = now;
      return sums;
    },
    unseen: (policy) => fault ?? (told === undefined || told.has(policy) ? undefined : BLIND.noStatistics),
    pause() {
      told = undefined;
    },
  };
}

function since(now: PushedRequests, before: PushedRequests | undefined): PushedRequests {
  // Envoy was started again.
  if (before === undefined || now.enforced < before.enforced) return now;
  return {
    enforced: now.enforced - before.enforced,
    missing: Math.max(0, now.missing - before.missing),
    refused: Math.max(0, now.refused - before.refused),
  };
}

function added(a: PushedRequests | undefined, b: PushedRequests): PushedRequests {
  if (a === undefined) return b;
  return {
    enforced: a.enforced + b.enforced,
    missing: a.missing + b.missing,
    refused: a.refused + b.refused,
  };
}

function ask(address: ListenAddress): Promise<unknown> {
  const where =
    address.kind === 'unix' ? { socketPath: address.path } : { host: address.host, port: address.port };
  const path = `/stats?format=json&filter=${encodeURIComponent(STATISTICS)}`;
  return askJson(
    { ...where, path, headers: { host: 'envoy' } },
    { timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES },
  );
}
