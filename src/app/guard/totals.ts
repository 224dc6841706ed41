// What the guard judges by: how many requests each policy had, through our own doors and by push, and how many were refused.
import type { Config } from '../../config/config.ts';
import type { Share } from '../../doors/feedback/refused-share.ts';
import type { PushedRequests } from '../../doors/push/envoy-statistics.ts';
import type { Totals } from '../../policy/guard/guard.ts';
import type { RequestCounts } from '../../telemetry/metrics/decision-metrics.ts';
import type { Observer } from '../../telemetry/observer.ts';
import { createEnvoyRequests } from './envoy-requests.ts';
import { BLIND } from './texts.ts';

export interface GuardTotalsDeps {
  readonly observer: Observer;
  readonly config: Pick<Config, 'envoyAdmin'>;
  readonly requestsOf: (policy: string) => RequestCounts;
  /** Whether all requests of the policy in this process are outside its share: Envoy's own statistics do not tell. */
  readonly isPodWithheld: (policy: string) => boolean;
  /** Whether an Envoy has its credential by push. */
  readonly isPushed: (policy: string) => boolean;
}

export interface GuardTotals {
  /** Asks Envoy anew. */
  read(config: Config): Promise<void>;
  /** What Envoy counts until it is asked again counts for nobody. */
  pause(): void;
  /** `bySubject`: the policy's credentials are its callers' own. */
  of(policy: string, bySubject: boolean): Totals;
  /** Why nothing is known of its requests; undefined = they are counted. */
  blind(policy: string): string | undefined;
  refused(policy: string, share: Share): void;
}

const NONE = { enforced: 0, withheld: 0 };

export function createGuardTotals(deps: GuardTotalsDeps): GuardTotals {
  const { observer, requestsOf, isPodWithheld, isPushed } = deps;
  const { envoyAdmin } = deps.config;
  const envoy = envoyAdmin && createEnvoyRequests(envoyAdmin, observer);
  const refusals = new Map<string, Readonly<Record<Share, number>>>();
  let pushed: ReadonlyMap<string, PushedRequests> = new Map();

  return {
    async read(config) {
      if (envoy !== undefined) pushed = await envoy.read(config);
    },
    pause: () => envoy?.pause(),
    of(policy, bySubject) {
      const { enforced, missing, withheld } = requestsOf(policy);
      const refused = refusals.get(policy) ?? NONE;
      const push = pushed.get(policy) ?? { enforced: 0, missing: 0, refused: 0 };
      // Whose request names a subject without a token is told so: that is no fault of the version.
      const ours = bySubject ? 0 : missing;
      const own = { enforced: enforced - missing + ours, missing: ours, refused: refused.enforced };
      if (isPodWithheld(policy)) {
        return {
          ...own,
          withheld: withheld + push.enforced - push.missing,
          withheldRefused: refused.withheld + push.refused,
        };
      }
      return {
        enforced: own.enforced + push.enforced,
        missing: own.missing + push.missing,
        refused: own.refused + push.refused,
        withheld,
        withheldRefused: refused.withheld,
      };
    },
    // A policy whose requests come to our own doors is seen there.
    blind(policy) {
      const { enforced, withheld } = requestsOf(policy);
      if (enforced + withheld > 0 || !isPushed(policy)) return undefined;
      return envoy === undefined ? BLIND.noAdmin : envoy.unseen(policy);
    },
    refused(policy, share) {
      const counts = refusals.get(policy) ?? NONE;
      refusals.set(policy, { ...counts, [share]: counts[share] + 1 });
    },
  };
}
