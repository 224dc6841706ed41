// The inbound door of one configuration after the other, and what outlives each of them.
import type { Config } from '../config/config.ts';
import type { InboundDoor } from '../doors/inbound/inbound-door.ts';
import type { InboundDeps } from '../inbound/inbound.ts';
import type { Lasting } from '../inbound/lasting.ts';
import type { SharedCache } from '../shared-cache/shared-cache.ts';

export type CreateInbound = (config: Config) => Promise<InboundDoor | undefined>;

export function createInboundSide(
  deps: Omit<InboundDeps, 'lasting' | 'sharedRevocations'>,
  marks: SharedCache['marks'] | undefined,
): CreateInbound {
  let lasting: Lasting | undefined;
  return async (config) => {
    if (config.inbound === undefined) return undefined;
    // jose and undici are resident memory that a configuration without inbound need not pay.
    const [{ createInboundDoor }, { createLasting }] = await Promise.all([
      import('../doors/inbound/inbound-door.ts'),
      import('../inbound/lasting.ts'),
    ]);
    lasting ??= createLasting(deps.clock, marks);
    return createInboundDoor(config, config.inbound, {
      ...deps,
      lasting,
      sharedRevocations: marks?.revocations,
    });
  };
}
