// Who was let in, counted for the audit trail: one addition a request, the count itself is looked up once a minute.
import type { InboundConfig } from '../../config/inbound/config.ts';
import type { InboundPolicy } from '../../inbound/policy.ts';
import type { VerifiedToken } from '../../inbound/verified-token.ts';
import type { CallerCount } from '../../telemetry/event-details.ts';
import type { Observer } from '../../telemetry/observer.ts';

export interface Callers {
  /** Hot. `token` is undefined where nobody was asked who it is. */
  count(policy: InboundPolicy, token: VerifiedToken | undefined): void;
}

type Uses = Pick<VerifiedToken, 'uses' | 'usedBy'>;

export function createCallers(
  { issuers }: InboundConfig,
  policies: readonly InboundPolicy[],
  observer: Observer,
): Callers {
  const nobody: readonly Uses[] = policies.map(() => ({ uses: undefined, usedBy: -1 }));

  function countOf({ index, name }: InboundPolicy, token: VerifiedToken | undefined): CallerCount {
    const holder = token ?? nobody[index]!;
    if (holder.uses === undefined || holder.usedBy !== index || holder.uses.ended) {
      const issuer = token === undefined ? undefined : issuers[token.issuer]?.name;
      holder.uses = observer.callerCount(name, issuer, token?.caller ?? '');
      holder.usedBy = index;
    }
    return holder.uses;
  }

  return {
    count(policy, token) {
      countOf(policy, token).count++;
    },
  };
}
