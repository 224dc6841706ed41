// Configurations as objects for tests of the generator: only what a test is about is stated.
import type { Config, HostPattern, OutboundConfig, PathRule } from '../../src/config/config.ts';

/** `orders.prod`, `*.example.com`, each with `:port` or without. */
export function hostPattern(text: string): HostPattern {
  const [, wildcard, name, port] = /^(\*\.)?(\[[^\]]+\]|[^:]+)(?::(\d+))?$/.exec(text)!;
  return {
    name: name!,
    wildcard: wildcard !== undefined,
    port: port === undefined ? undefined : Number(port),
  };
}

export interface PolicySketch {
  readonly name: string;
  readonly hosts: readonly string[];
  readonly methods?: readonly string[];
  readonly paths?: readonly PathRule[];
  readonly source?: string;
  /** HTTP status, instead of a credential. */
  readonly deny?: 403 | 404 | 410 | 451;
  readonly header?: string;
  readonly prefix?: string;
  /** With the bare credential. */
  readonly moreHeaders?: readonly string[];
  readonly healOn?: OutboundConfig['healOn'];
  readonly onFailure?: OutboundConfig['onFailure'];
  readonly neverStale?: boolean;
  /** Default true. */
  readonly allowPlaintext?: boolean;
  readonly rateLimit?: OutboundConfig['rateLimit'];
  readonly mode?: OutboundConfig['rollout'];
  readonly guard?: OutboundConfig['guard'];
  readonly proof?: OutboundConfig['proof'];
}

export function outbound(sketch: PolicySketch): OutboundConfig {
  return {
    name: sketch.name,
    match: { hosts: sketch.hosts.map(hostPattern), methods: sketch.methods, paths: sketch.paths },
    deny: sketch.deny && { status: sketch.deny },
    inject: {
      source: sketch.deny ? '' : (sketch.source ?? sketch.name),
      headers: sketch.deny
        ? []
        : [
            { name: sketch.header ?? 'authorization', prefix: sketch.prefix ?? 'Bearer ', basic: undefined },
            ...(sketch.moreHeaders ?? []).map((name) => ({ name, prefix: '', basic: undefined })),
          ],
      query: undefined,
    },
    subject: undefined,
    rollout: sketch.mode ?? { mode: 'enforce', percent: undefined, by: undefined },
    healOn: sketch.healOn ?? '401',
    onFailure: sketch.onFailure ?? 'deny',
    proof: sketch.proof,
    neverStale: sketch.neverStale ?? false,
    allowPlaintext: sketch.allowPlaintext ?? true,
    rateLimit: sketch.rateLimit,
    guard: sketch.guard,
  };
}

/** Sockets lie in `folder`. */
export function configOf(
  policies: readonly PolicySketch[],
  patch: Partial<Config> = {},
  folder = '/run/bearerd',
): Config {
  const socket = (name: string) =>
    ({ kind: 'unix', path: `${folder}/${name}.sock`, mode: 0o660, group: undefined }) as const;
  return {
    version: 1,
    mode: 'production',
    tracing: undefined,
    accessLog: 'refusals',
    listen: {
      check: { listener: socket('check'), front: 'raw', tls: undefined },
      checkInbound: undefined,
      xds: [{ listener: socket('xds'), sources: undefined }],
      health: undefined,
      admin: undefined,
      status: undefined,
    },
    sources: [],
    outbound: policies.map(outbound),
    inbound: undefined,
    unmatched: 'pass',
    unboundAuthorization: 'pass',
    ambiguousPath: 'no_match',
    maxWaitMs: 3_000,
    startupWaitMs: 10_000,
    limits: {
      credentialBytes: 16 << 20,
      refreshesPerHour: undefined,
      forcedRefreshesPerHour: 120,
      firstFetchesPerSecond: 50,
    },
    feedback: { responseHeaders: ['www-authenticate', 'retry-after'] },
    audit: undefined,
    envoyAdmin: undefined,
    stateDir: undefined,
    policyBundle: undefined,
    sharedCache: undefined,
    log: { level: 'info' },
    ...patch,
  };
}
