// CORS preflights (Fetch standard, section 3.2): only real ones, and only of origins that a policy lists.
import type { CorsConfig } from '../../config/inbound/config.ts';
import { buildOwnAnswer } from './answer.ts';

type Headers = readonly (readonly [name: string, value: string])[];

export interface Preflight {
  readonly origin: string;
  /** Access-Control-Request-Method. */
  readonly method: string;
}

/** undefined when it is none. */
export function preflightOf(
  method: string,
  origin: string | undefined,
  requested: string | undefined,
): Preflight | undefined {
  if (method !== 'OPTIONS' || origin === undefined || requested === undefined) return undefined;
  return { origin, method: requested };
}

/** undefined when the origin or method is not listed. */
export function answerPreflight(cors: CorsConfig, { origin, method }: Preflight): Uint8Array | undefined {
  if (!cors.origins.includes(origin) || !cors.methods.includes(method)) return undefined;
  return buildOwnAnswer(204, [
    ...originHeaders(cors, origin),
    ['access-control-allow-methods', cors.methods.join(', ')],
    ['access-control-allow-headers', cors.headers.join(', ')],
    ['access-control-max-age', String(Math.floor(cors.maxAgeMs / 1_000))],
  ]);
}

/** For the answer to the request itself. Never `*`: the origin is named, so caches must tell them apart. */
export function originHeaders(cors: CorsConfig | undefined, origin: string | undefined): Headers {
  if (cors === undefined || origin === undefined || !cors.origins.includes(origin)) return [];
  return [
    ['access-control-allow-origin', origin],
    ...(cors.credentials ? ([['access-control-allow-credentials', 'true']] as const) : []),
    ['vary', 'origin'],
  ];
}

/** What an app in a browser may read of a refusal beside its status; the lists of the Fetch standard leave these out. */
const READABLE = 'www-authenticate, x-bearerd-decision, retry-after, ratelimit, ratelimit-policy';

/** For our own answer: without them a browser tells its app of a network fault. */
export function refusalHeaders(cors: CorsConfig | undefined, origin: string | undefined): Headers {
  const headers = originHeaders(cors, origin);
  return headers.length === 0 ? varies(cors) : [...headers, ['access-control-expose-headers', READABLE]];
}

const VARIES: Headers = [['vary', 'origin']];

/** Also what another origin gets, or none: a shared cache must not hand it to a listed one. */
export function varies(cors: CorsConfig | undefined): Headers {
  return cors === undefined ? [] : VARIES;
}
