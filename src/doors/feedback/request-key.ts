// The same for all attempts of one request: different requests count for "refused for good", attempts of one do not.
import { hash } from 'node:crypto';

/** `id` is the request id, or whatever else is the attempt's own where there is none. */
export function requestKey(id: string, host: string, method: string, path: string): string {
  return hash('sha256', JSON.stringify([id, host, method, path]), 'base64url');
}
