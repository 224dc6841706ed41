// bearerd explain: whether the credential of a source is shared with the fleet, and if not, why.
import type { Config, SourceConfig } from '../config/config.ts';
import { whyNotShared } from '../shared-cache/shareable.ts';

export function sharingText({ sharedCache }: Config, source: SourceConfig): string {
  if (sharedCache === undefined) return 'no: there is no shared_cache';
  const { tenant, perUserSources } = sharedCache;
  const perSubject = source.type === 'token_exchange' && source.subject !== undefined;
  const whyNot = whyNotShared(source, perSubject, perUserSources);
  if (whyNot !== undefined) return `no: ${whyNot}`;
  const what = source.type === 'refresh_token' ? 'access token and login' : 'token';
  const whose = perSubject ? ' of each user' : '';
  return `the ${what}${whose}, sealed, in Redis under bearerd:${tenant}: (not where it is bound to a key, or never ends)`;
}
