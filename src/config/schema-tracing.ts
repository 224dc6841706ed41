// The schema of `tracing`: where spans go.
import * as z from 'zod';
import { refuse } from './invalid.ts';
import { parsed } from './schema-values.ts';

export interface TracingConfig {
  /** Base of OTLP over HTTP; `/v1/traces` is added. */
  readonly otlpEndpoint: string;
  /** Share of traces that begin here, 0 to 1. */
  readonly sample: number;
}

export const tracing = z
  .strictObject({
    otlp_endpoint: parsed(z.string(), parseEndpoint).describe(
      'Collector that takes OTLP over HTTP (protobuf), e.g. http://127.0.0.1:4318; /v1/traces is added.',
    ),
    sample: z
      .number()
      .min(0)
      .max(1)
      .default(1)
      .describe(
        'Share of traces that begin here, 0 to 1. A request that comes with a traceparent has it decided. Default 1.',
      ),
  })
  .describe('Spans of waits, fetches and calls to providers. Default: none.');

/** Plain http is usual to a collector of the pod or node: spans hold no secret. Throws Invalid. */
function parseEndpoint(text: string): string {
  if (!URL.canParse(text)) refuse('expected an address such as http://127.0.0.1:4318');
  const { protocol, username, password, search, hash } = new URL(text);
  if (!['http:', 'https:'].includes(protocol)) refuse(`expected http:// or https://, got ${protocol}//`);
  if (username !== '' || password !== '') {
    refuse('no user or password in an address: the variable OTEL_EXPORTER_OTLP_HEADERS has headers');
  }
  if (search !== '' || hash !== '') refuse('no query and no fragment in the address of a collector');
  return text;
}
