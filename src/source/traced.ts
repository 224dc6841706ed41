// A span around each call of a token source: part of the request that began it, or a trace of its own in the background.
import type { TokenSource } from '../credential/credential.ts';
import { CredentialError } from '../lib/errors.ts';
import { currentSpan, type Tracer, within } from '../lib/trace.ts';

export function createTracedSource(source: TokenSource, tracer: Tracer): TokenSource {
  return {
    ...source,
    async issue(request) {
      const attributes = {
        'bearerd.source': source.name,
        'bearerd.source_type': source.type,
        'bearerd.forced': request.refused !== undefined,
      };
      const parent = currentSpan();
      const span =
        parent === undefined
          ? tracer.start('bearerd.issue', attributes)
          : parent.child('bearerd.issue', 'internal', attributes);
      try {
        const issued = await within(span, () => source.issue(request));
        span.end();
        return issued;
      } catch (error) {
        span.end(error instanceof CredentialError ? error.code : 'unexpected');
        throw error;
      }
    },
  };
}
