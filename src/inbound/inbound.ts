// The inbound side as a whole, without a word of Envoy's: issuers, lists and policies made from the configuration, and
// the one function that says whether a verified caller may.
import type { InboundConfig, IssuerConfig, RevocationConfig } from '../config/inbound/config.ts';
import type { Clock } from '../lib/clock.ts';
import { createSecretReader } from '../lib/secret-ref.ts';
import type { Tracer } from '../lib/trace.ts';
import { watchFile } from '../lib/watch.ts';
import { createProviderHttp } from '../provider-http/http.ts';
import type { Observer } from '../telemetry/observer.ts';
import { ApiKeys, createApiKeysFile } from './api-keys.ts';
import type { Followed } from './followed.ts';
import { createIntrospection } from './introspection.ts';
import { createIssuerKeys } from './issuer-keys.ts';
import { createLoader } from './jwks-location.ts';
import { createJwtIssuer, type TokenVerifier } from './jwt-issuer.ts';
import type { Lasting } from './lasting.ts';
import { compileInboundPolicies, type InboundPolicy } from './policy.ts';
import type { RefusalReason } from './refusal.ts';
import type { ReplayMemory } from './replay.ts';
import { createRevocationFile } from './revocation-file.ts';
import { noRevocations, Revocations } from './revocations.ts';
import { createRolesFile, Roles } from './roles.ts';
import { createSharedRevocations, type SharedRevocationsDeps } from './shared-revocations.ts';
import { createSignerKeys, type SignerKeys } from './signer-keys.ts';
import { type TokenTime, timeRefusal } from './token-time.ts';
import type { VerifiedToken } from './verified-token.ts';
import { createVerifiers, type Verifiers } from './verifiers.ts';

export interface InboundDeps {
  readonly clock: Clock;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly observer: Observer;
  readonly random: () => number;
  readonly lasting: Lasting;
  /** undefined = no spans. */
  readonly tracer?: Tracer | undefined;
  /** The list of revocations that the fleet shares; undefined without a shared cache. */
  readonly sharedRevocations?: SharedRevocationsDeps['read'] | undefined;
}

export interface Denial {
  readonly reason: RefusalReason;
  /** Of the challenge. */
  readonly parameters: string;
}

export interface Inbound {
  readonly policies: readonly InboundPolicy[];
  readonly verifiers: Verifiers;
  readonly apiKeys: ApiKeys;
  readonly time: TokenTime;
  readonly replay: ReplayMemory;
  readonly signers: SignerKeys;
  /** Every rule that needs nothing but the token: time, revocation and, of a policy, audience, step-up and the rest. */
  refusal(policy: InboundPolicy | undefined, token: VerifiedToken): Denial | undefined;
  start(): void;
  stop(): void;
  /** What readiness waits for. */
  missing(): readonly string[];
}

export function createInbound(config: InboundConfig, deps: InboundDeps): Inbound {
  const { clock, observer } = deps;
  const { time, replay, kept } = deps.lasting;
  const issuers = config.issuers.map((issuer, index) => createIssuer(issuer, index, time, deps));
  const verifiers = createVerifiers(
    issuers.map((verifier, i) => {
      const issuer = config.issuers[i]!;
      return { verifier, iss: issuer.kind === 'jwt' ? issuer.issuer : undefined };
    }),
    config.verifiedTokenBytes,
    time,
  );

  const roles = new Roles();
  roles.replace(config.roles);
  const files: Followed[] = [];
  if (config.rolesFile !== undefined) {
    files.push(createRolesFile({ path: config.rolesFile, fixed: config.roles, roles, clock, observer }));
  }
  const apiKeys = kept.of(`keys ${config.apiKeys?.file}`, () => new ApiKeys());
  if (config.apiKeys !== undefined) {
    files.push(createApiKeysFile({ path: config.apiKeys.file, keys: apiKeys, clock, observer }));
  }
  const names = config.issuers.map(({ name }) => name);
  const known = kept.of(`revocations ${config.revocation?.file}`, noRevocations);
  const revocations = new Revocations(names, known);
  const revocationSource: Followed | undefined =
    config.revocation && createRevocationSource(config.revocation, revocations, deps);
  const signers = createSignerKeys(config, deps);
  const maxAgeMs = config.revocation?.maxAgeMs ?? Number.MAX_VALUE;

  const denial = (reason: RefusalReason): Denial => ({ reason, parameters: '' });

  return {
    policies: compileInboundPolicies(config, roles),
    verifiers,
    apiKeys,
    time,
    replay,
    signers,
    refusal(policy, token) {
      const now = time.now();
      const untimely = timeRefusal(token, now);
      if (untimely !== undefined) return denial(untimely);
      if (revocationSource !== undefined) {
        // A list that was never read, or is too old, may lack this token.
        if (revocationSource.ageMs() > maxAgeMs) return denial('revocation_unknown');
        if (revocations.covers(token, now)) return denial('token_revoked');
      }
      if (policy === undefined) return undefined;
      for (const requirement of policy.requirements) if (!requirement.holds(token, now)) return requirement;
      return undefined;
    },
    start() {
      for (const issuer of issuers) issuer.start();
      for (const file of files) file.start();
      revocationSource?.start();
      signers.start();
    },
    stop() {
      for (const issuer of issuers) issuer.stop();
      for (const file of files) file.stop();
      revocationSource?.stop();
      signers.stop();
    },
    missing() {
      const missing = issuers.map((issuer) => issuer.missing).filter((name) => name !== undefined);
      if (revocationSource?.ageMs() === Number.POSITIVE_INFINITY) missing.push('revocation list');
      return [...missing, ...signers.missing];
    },
  };
}

function createRevocationSource(
  { file }: RevocationConfig,
  list: Revocations,
  { clock, observer, sharedRevocations }: InboundDeps,
): Followed {
  return file === undefined
    ? createSharedRevocations({ read: sharedRevocations!, list, clock, observer }) // checks.ts sees to it
    : createRevocationFile({ path: file, list, clock, observer });
}

function createIssuer(
  config: IssuerConfig,
  index: number,
  time: TokenTime,
  deps: InboundDeps,
): TokenVerifier {
  const { clock, env, observer, random, tracer } = deps;
  const http = createProviderHttp({ caFile: config.caFile, env, now: () => clock.now() });
  if (config.kind === 'introspection') {
    const reader = createSecretReader(config.clientSecret, env);
    return createIntrospection(config, { index, http, secret: () => reader.read(), time, clock, observer });
  }
  if (config.keys.from === 'shared_secret') {
    const reader = createSecretReader(config.keys.secret, env);
    return createJwtIssuer(config, { index, time, keys: undefined, secret: () => reader.read() });
  }
  const file = config.keys.from === 'file' ? config.keys.path : undefined;
  const keys = createIssuerKeys({
    issuer: config.name,
    load: createLoader(config, http),
    close: () => void http.close(),
    ...(file === undefined ? {} : { watch: (changed) => watchFile(file, clock, changed) }),
    ...{ clock, observer, random, tracer },
  });
  return createJwtIssuer(config, { index, time, keys, secret: undefined });
}
