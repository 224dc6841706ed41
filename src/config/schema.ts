// The file's shape: every key, its meaning, its unit and its default. `bearerd schema` prints it as JSON Schema and
// parse.ts reads files with it, so that editors and the program cannot differ. What spans several keys is in checks.ts.
import * as z from 'zod';
import { parseHeaderName } from './header.ts';
import { inbound } from './inbound/schema.ts';
import { audit } from './schema-audit.ts';
import { policyBundle } from './schema-bundle.ts';
import { envoyAdmin } from './schema-guard.ts';
import { admin, check, health, status, xds } from './schema-listen.ts';
import { outbound } from './schema-outbound.ts';
import { sharedCache } from './schema-shared-cache.ts';
import { sources } from './schema-sources.ts';
import { tracing } from './schema-tracing.ts';
import { duration, filePath, parsed } from './schema-values.ts';

const RESPONSE_HEADERS = [
  'www-authenticate',
  'dpop-nonce',
  'retry-after',
  'x-ratelimit-limit',
  'x-ratelimit-remaining',
  'x-ratelimit-reset',
];

const listen = z.strictObject({
  check: check.optional(),
  check_inbound: check
    .optional()
    .describe('ext_authz of Envoy for requests that come in; the forms of check. Needs inbound.'),
  xds: xds.prefault([]),
  health: health.optional(),
  admin: admin.optional(),
  status: status.optional(),
});

const limits = z.strictObject({
  credential_bytes: z
    .int()
    .min(64 << 10)
    .max(1 << 30)
    .default(16 << 20)
    .describe(
      'Credentials of subjects kept in memory, with their subject tokens, bytes. Default 16777216 (16 MiB).',
    ),
  refreshes_per_hour: z
    .int()
    .min(1)
    .max(1_000_000)
    .optional()
    .describe(
      'Renewals in the background, an hour and provider endpoint. Default: ten times what the lifetimes of its credentials ask for, at least 60.',
    ),
  forced_refreshes_per_hour: z
    .int()
    .min(1)
    .max(1_000_000)
    .optional()
    .describe(
      'Renewals before time because of refusals, an hour and provider endpoint; with shared_cache of the whole fleet. Default as for refreshes_per_hour.',
    ),
  first_fetches_per_second: z
    .int()
    .min(1)
    .max(100_000)
    .default(50)
    .describe(
      'Fetches for subjects without a credential yet, a second and provider endpoint; 503 beyond. Default 50.',
    ),
});

const feedback = z.strictObject({
  response_headers: z
    .array(parsed(z.string(), parseHeaderName))
    .prefault(RESPONSE_HEADERS)
    .transform((names) => [...new Set(names)])
    .describe('Response headers that Envoy reports with a refusal. The default is the list shown.'),
});

const log = z.strictObject({
  level: z
    .enum(['trace', 'debug', 'info', 'warn', 'error'])
    .default('info')
    .describe('Default info. No level ever shows a credential.'),
});

export const configFile = z
  .strictObject({
    $schema: z.string().optional().describe('For editors; not read.'),
    version: z.literal(1, { error: 'expected version: 1' }).describe('Of this format: 1.'),
    mode: z
      .enum(['production', 'development'])
      .default('production')
      .describe(
        'development allows inline secrets and providers on loopback over plain http; refused inside a Kubernetes cluster. Default production.',
      ),
    listen: listen
      .prefault({})
      .describe('Where bearerd listens. At least one of check, check_inbound and xds.'),
    sources: sources.default({}).describe('Ways to get credentials, each under its name.'),
    outbound: z.array(outbound).default([]).describe('Policies for outgoing requests. The first match wins.'),
    inbound: inbound.optional(),
    unmatched: z
      .enum(['pass', 'deny'])
      .default('pass')
      .describe('Requests that no policy matches. deny needs the check door. Default pass.'),
    unbound_authorization: z
      .enum(['pass', 'remove', 'deny'])
      .default('pass')
      .describe(
        "The app's own Authorization on requests to hosts that no policy names, in the generated configuration: pass, remove it, or deny the request with 403. Default pass.",
      ),
    ambiguous_path: z
      .enum(['no_match', 'deny', 'exact_bytes'])
      .default('no_match')
      .describe(
        'A path that two parsers may read differently (//, /../, %2f, %5c, ;, backslash): no_match matches no path rule and no later rule of the host, deny answers 400, exact_bytes compares it as it came. Default no_match.',
      ),
    max_wait: duration({ minMs: 10, maxMs: 60_000 })
      .prefault('3s')
      .describe('Longest wait of a request for a first credential, 10ms to 60s. Default 3s.'),
    startup_wait: duration({ minMs: 0, maxMs: 300_000 })
      .prefault('10s')
      .describe(
        'How long /startupz waits for the first credentials of required sources, 0s to 5m. Default 10s.',
      ),
    limits: limits.prefault({}).describe('Bounds that protect this process and the providers.'),
    feedback: feedback.prefault({}).describe('What Envoy tells about refused requests.'),
    access_log: z
      .enum(['refusals', 'full'])
      .default('refusals')
      .describe(
        'What Envoy tells: refusals, which heal; full: also every request, in batches, for metrics of rate, errors, duration and rate limits. Default refusals.',
      ),
    audit: audit.optional(),
    envoy_admin: envoyAdmin,
    state_dir: filePath
      .optional()
      .describe(
        'Directory of this process alone, writable, for what is to outlive a restart; relative: to this file. Default: none, nothing outlives it.',
      ),
    policy_bundle: policyBundle.optional(),
    shared_cache: sharedCache.optional(),
    tracing: tracing.optional(),
    log: log.prefault({}).describe('Log lines on standard output, JSON.'),
  })
  .meta({ title: 'bearerd configuration', description: 'Configuration of bearerd, as YAML or JSON.' });

/** The file as it was read: defaults filled in, texts parsed, keys still in the file's spelling. */
export type ConfigFile = z.output<typeof configFile>;

/** JSON Schema (draft 2020-12) of what may stand in the file. */
export function configJsonSchema(): object {
  return z.toJSONSchema(configFile, { io: 'input', target: 'draft-2020-12' });
}
