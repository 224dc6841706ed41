// The nouns between the slow arm (sources) and the hot arm (doors).
import type { KeyObject } from 'node:crypto';
import type { SourceConfig } from '../config/config.ts';
import type { CredentialError } from '../lib/errors.ts';
import type { Secret } from '../lib/secret.ts';
import type { ForcedRefresh } from '../telemetry/event-details.ts';

/** What a token source hands over. The store turns it into a Credential. */
export interface IssuedToken {
  /** The bare value, without header prefix. */
  readonly value: Secret;
  /** Milliseconds from the moment the request was sent; undefined = does not expire by itself. */
  readonly lifetimeMs: number | undefined;
  /** When to ask again, milliseconds from now, where the source knows better than the store's share of the lifetime. */
  readonly refreshAfterMs?: number;
  /** Which of several keys it is, or was signed by: an id, never a value. */
  readonly keyId?: string;
  /** Bound to a key or certificate of this process (RFC 9449, RFC 8705): worth nothing elsewhere, so never shared. */
  readonly bound?: boolean;
  /** RFC 9449: with it the token's user signs a proof for each request; undefined = the token needs none. */
  readonly proofKey?: ProofKey;
  /** The source that really gave it, where a fallback did. */
  readonly source?: string;
}

/** A key of this process that tokens are bound to (RFC 9449). Made at start, never written anywhere. */
export interface ProofKey {
  readonly alg: 'ES256';
  readonly privateKey: KeyObject;
  /** `jwk` of the proof's header: the public members only. */
  readonly publicJwk: Readonly<Record<'kty' | 'crv' | 'x' | 'y', string>>;
}

/** Whose credential it is: made from what came with the request. */
export interface Subject {
  /** SHA-256 over the whole subject token and actor token, never over a claim. */
  readonly key: string;
  readonly token: Secret;
  readonly actor: Secret | undefined;
}

/** One call for a new token. */
export interface IssueRequest {
  /** Aborts at the total time limit of a fetch or at shutdown, never because one caller went away. */
  readonly signal: AbortSignal;
  /** Until when somebody waits for it, monotonic ms; undefined = renewal in the background, which may stand behind. */
  readonly neededBy: number | undefined;
  /** How long the credential that it renews may still be used, ms; undefined = there is none. */
  readonly leftMs?: number | undefined;
  /** The value that an upstream refused: whoever keeps or chooses among several must not hand it out again. */
  readonly refused: Secret | undefined;
  /** Always there for a source with perSubject, never for another. */
  readonly subject: Subject | undefined;
}

/** What may be injected. Immutable: a renewed one is a new object with a higher generation. */
export interface Credential {
  /** Name of the source that was asked: the one that policies name. */
  readonly source: string;
  /** Name of the source that gave it; another one where a fallback did. */
  readonly issuedBy: string;
  readonly value: Secret;
  /** Counts up per process, across all sources, from 1. Never derived from the value, so it may be shown and logged. */
  readonly generation: number;
  /** Wall clock, epoch ms, when it was published. */
  readonly issuedAt: number;
  /** Wall clock, epoch ms, when the provider ends it; Infinity = never by itself. */
  readonly expiresAt: number;
  /** Last use by the wall clock (expiresAt − skew), epoch ms. */
  readonly usableUntil: number;
  /** Last use by the monotonic clock, ms. Expired as soon as either clock says so. */
  readonly usableUntilMonotonic: number;
  /** RFC 9449: each request that carries it needs a proof signed with this key; undefined = it needs none. */
  readonly proofKey: ProofKey | undefined;
  /** Which of several keys it is, or was signed by; an id, so it may be shown. */
  readonly keyId: string | undefined;
  /** Worth nothing in another process: never shared. */
  readonly bound: boolean;
}

/** A public JSON Web Key. */
export type PublicKey = Readonly<Record<string, string>>;

export type SourceType = SourceConfig['type'];

/**
 * How a credential is obtained. One factory a file in source/; the store decides when. What stands between the store and
 * a provider (a queue, a breaker, a shared cache, a fallback) is a TokenSource around another.
 */
export interface TokenSource {
  readonly name: string;
  readonly type: SourceType;
  /** Sources with the same endpoint share its limits. */
  readonly endpoint: string;
  /** What its values may look like: RFC 6750 b64token, or any text that a header may carry. */
  readonly syntax: 'b64token' | 'header_value';
  /** Each subject has a credential of its own; there is none without a subject. */
  readonly perSubject: boolean;
  /** Holds something that a second one beside it could not have, e.g. the lock of a file. Default false. */
  readonly exclusive?: boolean;
  /** Obtains a new token. Rejects with CredentialError only. The store calls it under single flight. */
  issue(request: IssueRequest): Promise<IssuedToken>;
  /** Of a source that signs by itself: what verifies its tokens, RFC 7517. Never a secret. */
  publicKeys?(): readonly PublicKey[];
  /** Calls `changed` when a file that this source reads has new content. Returns the way to stop watching. */
  watch?(changed: () => void): () => void;
  /**
   * Calls `listener` when another process has obtained a newer token than the last one issued here, since an upstream
   * refused that: issue() brings it without a call to the provider. Returns the way to stop.
   */
  arrived?(listener: () => void): () => void;
  /** Gives back sockets. */
  close?(): Promise<void>;
}

/** Called with the new credential, or undefined when the last one may not be used any more. */
export type CredentialListener = (credential: Credential | undefined) => void;

/** Whose credential an attempt carries. */
export interface CarriedSubject {
  readonly subject: Subject;
  readonly generation: number;
}

/** Where the slow arm publishes and the hot arm reads. Keyed by source name, and by subject where the source has them. */
export interface CredentialStore {
  /** Hot: the current credential if it may still be used by both clocks, else undefined. No allocation, no I/O. */
  peek(source: string, subjectKey?: string): Credential | undefined;
  /** peek() of one source without looking it up, for those who ask for the same one again and again. */
  reader(source: string): (subjectKey?: string) => Credential | undefined;
  /**
   * Cold: the current credential, or the result of the fetch under way, within `timeoutMs`. Rejects with CredentialError.
   * `signal` ends this caller's wait, never the fetch that others wait for. `subject`: for a source with perSubject.
   */
  get(source: string, timeoutMs: number, signal?: AbortSignal, subject?: Subject): Promise<Credential>;
  /**
   * As get(), but where `generation` is the current one and a fetch is under way, what that fetch brings. Rejects when it
   * fails, although the current one may still live: for a request whose credential was refused.
   */
  after(
    source: string,
    generation: number,
    timeoutMs: number,
    signal?: AbortSignal,
    subject?: Subject,
  ): Promise<Credential>;
  /** Why there is none: the last failure, or undefined. */
  failure(source: string, subjectKey?: string): CredentialError | undefined;
  /** Milliseconds until the next attempt is due, for Retry-After; at least 1000 where unknown. */
  retryAfterMs(source: string, subjectKey?: string): number;
  /** Told at once of the present state, then of each change. Returns the way to unsubscribe. Not for perSubject. */
  subscribe(source: string, listener: CredentialListener): () => void;
  /**
   * An upstream refused this generation, and its attempt certainly carried it. `requestKey` tells different requests
   * apart for the count of "refused for good", `carriedForMs` says since when Envoy uses it (default: since it was published).
   */
  refused(source: string, generation: number, requestKey: string, carriedForMs?: number): ForcedRefresh;
  /**
   * Whose credential this is, for a request that lost its subject token to an earlier attempt. Found by the SHA-256 of
   * the value (`keyOf`), as long as the credential lives, also when it has been renewed meanwhile.
   */
  subjectOf(source: string, valueKey: string): CarriedSubject | undefined;
  /** Names of required sources without a first credential yet; empty = ready. Sticky per source. */
  missing(): readonly string[];
  /** State for the status page: never a value. */
  status(): readonly SourceStatus[];
  start(): void;
  stop(): Promise<void>;
}

/** What the doors ask; of sources that were replaced meanwhile until those who wait are answered. */
export type SourcesInForce = Omit<CredentialStore, 'subscribe' | 'missing' | 'status' | 'start' | 'stop'>;

export interface SourceStatus {
  readonly source: string;
  readonly type: SourceType;
  readonly required: boolean;
  readonly generation: number | undefined;
  readonly expiresAt: number | undefined;
  readonly nextRefreshAt: number | undefined;
  /** Code of the last fetch, where it failed. */
  readonly lastFailure: string | undefined;
  /** The same as the log has it: it names the setting or the fault. */
  readonly lastFailureText: string | undefined;
  /** How many subjects have a credential now; undefined where the source has no subjects. */
  readonly subjects: number | undefined;
}
