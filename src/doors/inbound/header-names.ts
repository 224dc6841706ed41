// The headers of a caller that enter this process: what rules read and nothing else.
import type { InboundConfig } from '../../config/inbound/config.ts';
import { TRACE_HEADERS } from '../../lib/trace.ts';

/** Headers that rules read, and spans belong to; generated configurations let only these in. */
export function headerNames(config: InboundConfig, isTraced: boolean): readonly string[] {
  const names = new Set(['authorization', 'dpop', ...(isTraced ? TRACE_HEADERS : [])]);
  if (config.apiKeys !== undefined) names.add(config.apiKeys.header);
  if (config.trustedHops > 0) names.add('x-forwarded-for');
  if (config.clientCertificate === 'xfcc') names.add('x-forwarded-client-cert');
  for (const { cors, rateLimit, signature } of config.policies) {
    if (cors !== undefined) names.add('origin').add('access-control-request-method');
    if (signature !== undefined) {
      names.add('signature').add('signature-input');
      for (const component of signature.components) if (!component.startsWith('@')) names.add(component);
    }
    if (typeof rateLimit?.key === 'object') names.add(rateLimit.key.header);
  }
  return [...names];
}
