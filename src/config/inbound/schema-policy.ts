// inbound.policies: which requests come in, for whom, and what the upstream is told of the caller.
import { BlockList, isIP } from 'node:net';
import * as z from 'zod';
import { parseHeaderName, parseInjectedHeader } from '../header.ts';
import { parseHostPattern } from '../host-pattern.ts';
import { refuse } from '../invalid.ts';
import { parseUriPattern } from '../listen-address.ts';
import { parseScope } from '../oauth-values.ts';
import { bodyKey, bucketShape, type Counted, toBodyLimit, toBucketSize } from '../rate-limit.ts';
import { method, path } from '../schema-outbound.ts';
import { duration, filePath, nameText, parsed, textOrList } from '../schema-values.ts';
import type { ClaimConditionConfig, RateLimitConfig } from './config.ts';
import { claimPath } from './schema-issuers.ts';

const match = z
  .strictObject({
    hosts: z
      .array(parsed(z.string(), parseHostPattern))
      .min(1)
      .optional()
      .describe('Hosts as callers name them. Default: every host.'),
    methods: z.array(method).min(1).optional().describe('Default: every method.'),
    paths: z
      .array(path)
      .min(1)
      .optional()
      .describe('As in outbound: prefix at segment borders, { exact }, { regex }. Default: every path.'),
  })
  .describe('Which requests. The first policy that matches wins; what none matches is refused.');

const claimValue = z.union([z.string(), z.number(), z.boolean()]);

const condition = z
  .strictObject({
    equals: claimValue.optional().describe('The claim is this value.'),
    in: z.array(claimValue).min(1).optional().describe('The claim is one of these values.'),
    contains: claimValue
      .optional()
      .describe('The claim is a list with this value, or a text with this word between spaces.'),
    prefix: z.string().min(1).optional().describe('The claim is a text that starts so.'),
    min: z.number().optional().describe('The claim is a number, at least this.'),
    max: z.number().optional().describe('The claim is a number, at most this.'),
  })
  .transform((value, context): ClaimConditionConfig['test'] => {
    const kinds = (['equals', 'in', 'contains', 'prefix'] as const).filter((k) => value[k] !== undefined);
    const isNumber = value.min !== undefined || value.max !== undefined;
    if (kinds.length + (isNumber ? 1 : 0) !== 1) {
      context.issues.push({
        code: 'custom',
        message: 'expected exactly one of equals, in, contains, prefix, or min and max',
        input: value,
      });
      return z.NEVER;
    }
    if (value.equals !== undefined) return { kind: 'equals', value: value.equals };
    if (value.in !== undefined) return { kind: 'in', values: value.in };
    if (value.contains !== undefined) return { kind: 'contains', value: value.contains };
    if (value.prefix !== undefined) return { kind: 'prefix', value: value.prefix };
    return {
      kind: 'number',
      min: value.min ?? Number.NEGATIVE_INFINITY,
      max: value.max ?? Number.POSITIVE_INFINITY,
    };
  });

/** Throws Invalid. */
function parseNetwork(text: string): string {
  const [, address, bits] = /^([0-9a-f.:]+)(?:\/(\d{1,3}))?$/i.exec(text) ?? [];
  const family = isIP(address ?? '');
  const most = family === 4 ? 32 : 128;
  if (family === 0 || Number(bits ?? most) > most) {
    refuse(`expected a network such as 10.0.0.0/8 or 2001:db8::/32, got "${text}"`);
  }
  new BlockList().addSubnet(address!, Number(bits ?? most), family === 4 ? 'ipv4' : 'ipv6');
  return `${address}/${bits ?? most}`;
}

/** Throws Invalid. */
function parseOrigin(text: string): string {
  if (!URL.canParse(text) || new URL(text).origin !== text) {
    refuse(`expected an origin such as https://app.example.com, without a path, got "${text}"`);
  }
  return text;
}

export const failedAttempts = z.strictObject(bucketShape).transform(toBucketSize);

const rateLimit = z
  .strictObject({
    ...bucketShape,
    key: z
      .union([
        z.enum(['policy', 'caller']),
        z.strictObject({ header: parsed(z.string(), parseHeaderName) }),
        bodyKey,
      ])
      .default('caller')
      .describe(
        'Whose bucket: caller is the verified client or key (else subject), policy is one for all, { header } its value, { body } a value in the JSON body, for all callers. Default caller.',
      ),
  })
  .transform(({ key, ...file }): Counted<RateLimitConfig> => {
    const size = toBucketSize(file);
    return typeof key === 'object' && 'body' in key
      ? { rateLimit: undefined, bodyLimit: toBodyLimit(key, size) }
      : { rateLimit: { ...size, key }, bodyLimit: undefined };
  })
  .describe('Answers 429 with Retry-After above it. Counted in this process; with { body } by Envoy.');

const cors = z
  .strictObject({
    origins: z.array(parsed(z.string(), parseOrigin)).min(1).describe('Origins that may call, each in full.'),
    methods: z.array(method).min(1).prefault(['GET', 'POST']).describe('Default GET and POST.'),
    headers: z.array(parsed(z.string(), parseHeaderName)).prefault(['authorization', 'content-type']),
    credentials: z.boolean().default(false),
    max_age: duration({ minMs: 0, maxMs: 86_400_000 }).prefault('10m'),
  })
  .transform(({ max_age, ...rest }) => ({ ...rest, maxAgeMs: max_age }))
  .describe('CORS preflights of these origins are answered here; others are not.');

const REQUIRED_COMPONENTS = ['@method', '@authority', '@path', '@query'];

const signature = z
  .strictObject({
    keys_file: filePath.describe('JWK Set with the callers’ public keys; keyid names the kid.'),
    components: z
      .array(z.string().regex(/^(@(method|authority|path|query|scheme)|[a-z0-9-]+)$/))
      .prefault(REQUIRED_COMPONENTS)
      .describe('Components that must be covered. Default and least: @method, @authority, @path, @query.'),
    max_age: duration({ minMs: 1_000, maxMs: 600_000 })
      .prefault('60s')
      .describe('How old created may be. Default 60s.'),
    nonce: z.boolean().default(true).describe('A nonce is demanded and works once. Default true.'),
  })
  .transform(({ keys_file, components, max_age, nonce }) => ({
    keysFile: keys_file,
    components: [...new Set([...REQUIRED_COMPONENTS, ...components])],
    maxAgeMs: max_age,
    nonce,
  }))
  .describe('Requests must be signed (RFC 9421). A covered content-digest proves that header, not the body.');

const names = z.array(z.string().min(1)).min(1);

/** By people only: no machine loosens what comes in, so there is no share either. */
export const rolloutMode = z.enum(['shadow', 'enforce']);

export const inboundPolicy = z
  .strictObject({
    name: nameText('policy').describe('Unique; stands in logs and metrics.'),
    match,
    mode: rolloutMode.optional().describe('As inbound.mode, for this policy. Default: inbound.mode.'),
    issuers: names.optional().describe('Issuers whose tokens count. Default: all, unless anonymous.'),
    api_keys: z.boolean().default(false).describe('API keys count too. Default false.'),
    anonymous: z
      .boolean()
      .default(false)
      .describe('No credential is asked for; peers, networks and limits still count. Default false.'),
    audience: parsed(textOrList, (value) => (typeof value === 'string' ? [value] : value))
      .optional()
      .describe('One of these must be in aud. Default: the audience of the issuer.'),
    scopes: parsed(textOrList, parseScope).prefault([]).describe('All of these must be in scope.'),
    permissions: z.array(z.string().min(1)).default([]).describe('All of these, by the roles of the caller.'),
    claims: z
      .record(z.string(), condition)
      .default({})
      .describe('Claim, by name or JSON pointer, and what it must be.'),
    peers: z
      .array(parsed(z.string(), parseUriPattern))
      .min(1)
      .optional()
      .describe('URI names of client certificates, e.g. spiffe://cluster.local/ns/prod/sa/*.'),
    networks: z
      .array(parsed(z.string(), parseNetwork))
      .min(1)
      .optional()
      .describe('Networks that callers come from, e.g. 10.0.0.0/8. See trusted_hops.'),
    acr: names
      .optional()
      .describe('Authentication context: one of these, else a step-up challenge (RFC 9470).'),
    amr: names.optional().describe('Authentication methods: all of these, else a step-up challenge.'),
    max_auth_age: duration({ minMs: 1_000, maxMs: 365 * 86_400_000 })
      .optional()
      .describe('How long ago the user may have logged in (auth_time), else a step-up challenge.'),
    require_tls: z.boolean().default(false).describe('Refused over plaintext. Default false.'),
    bound: z
      .enum(['mtls', 'dpop', 'either'])
      .optional()
      .describe(
        'The token must be bound to its sender: client certificate (RFC 8705) or DPoP (RFC 9449). A token that is bound is held to it in any case.',
      ),
    public_url: parsed(z.string(), (text) => {
      if (!URL.canParse(text) || !/^https?:\/\/[^/?#]+$/.test(text)) {
        refuse(`expected scheme and host such as https://api.example.com, got "${text}"`);
      }
      return text.toLowerCase();
    })
      .optional()
      .describe('Scheme and host as callers see them, for htu of DPoP proofs. Default: https and the Host.'),
    signature: signature.optional(),
    rate_limit: rateLimit.optional(),
    cors: cors.optional(),
    forward: z
      .record(parsed(z.string(), parseInjectedHeader), claimPath)
      .default({})
      .describe(
        'Header and the verified claim that it carries. Sent by a caller it is removed on every route.',
      ),
    token: z
      .union([z.enum(['pass', 'remove']), z.strictObject({ exchange: nameText('source') })])
      .default('pass')
      .describe(
        'Whether the upstream sees the token; { exchange }: the one of this token_exchange source in its place (RFC 8693). Default pass. API keys are always removed.',
      ),
  })
  .describe('One policy: which requests come in, and for whom.');
