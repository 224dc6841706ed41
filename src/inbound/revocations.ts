// Tokens refused before their end. A list is replaced as a whole; where it comes from (a file here) is its source's part.
import type { VerifiedToken } from './verified-token.ts';

/** All that is stated must fit. */
export interface Revocation {
  readonly jti?: string;
  readonly sub?: string;
  readonly sid?: string;
  readonly client_id?: string;
  /** Name of the issuer in the configuration. */
  readonly issuer?: string;
  /** Only what was issued before it; epoch milliseconds. */
  readonly issuedBefore?: number;
  /** It holds until then; epoch milliseconds. It is kept beyond: the clock may be ahead, and come back. */
  readonly endsAt?: number;
}

/** What is known of a list, whatever configuration reads it: a reload must neither forget it nor make it look unread. */
export interface KnownRevocations {
  /** When it was last known to be current, monotonic milliseconds. */
  readonly good: { at: number };
  entries: readonly Revocation[];
  /** Of a shared one: every line that was ever seen there. */
  readonly lines: Map<string, Revocation | undefined>;
}

export function noRevocations(): KnownRevocations {
  return { good: { at: Number.NEGATIVE_INFINITY }, entries: [], lines: new Map() };
}

/** Over all lists, since tokens of API keys outlive one. */
let versions = 0;

export class Revocations {
  readonly known: KnownRevocations;
  readonly #issuers: readonly string[];
  #byJti = new Map<string, Revocation[]>();
  #bySub = new Map<string, Revocation[]>();
  #bySid = new Map<string, Revocation[]>();
  #byClient = new Map<string, Revocation[]>();
  #others: Revocation[] = [];
  #version = 0;

  /** `issuers`: names by position. */
  constructor(issuers: readonly string[], known = noRevocations()) {
    this.#issuers = issuers;
    this.known = known;
    this.replace(known.entries);
  }

  replace(list: readonly Revocation[]): void {
    this.known.entries = list;
    const next = [new Map(), new Map(), new Map(), new Map()] as Map<string, Revocation[]>[];
    const others: Revocation[] = [];
    for (const entry of list) {
      // By what says most, so that one look-up finds it.
      const keys = [entry.jti, entry.sub, entry.sid, entry.client_id];
      const at = keys.findIndex((key) => key !== undefined);
      if (at === -1) others.push(entry);
      else {
        const entries = next[at]!.get(keys[at]!) ?? [];
        entries.push(entry);
        next[at]!.set(keys[at]!, entries);
      }
    }
    [this.#byJti, this.#bySub, this.#bySid, this.#byClient] = next as [
      Map<string, Revocation[]>,
      Map<string, Revocation[]>,
      Map<string, Revocation[]>,
      Map<string, Revocation[]>,
    ];
    this.#others = others;
    this.#version = ++versions;
  }

  /** `now` in epoch milliseconds. */
  covers(token: VerifiedToken, now: number): boolean {
    // The same list and the same token: the same verdict.
    if (token.revocationVersion === this.#version) return false;
    const { jti, sub, sid, client_id, azp } = token.claims as Record<string, string | undefined>;
    const client = client_id ?? azp;
    const latest = Math.max(
      this.#latest(jti === undefined ? undefined : this.#byJti.get(jti), token),
      this.#latest(sub === undefined ? undefined : this.#bySub.get(sub), token),
      this.#latest(sid === undefined ? undefined : this.#bySid.get(sid), token),
      this.#latest(client === undefined ? undefined : this.#byClient.get(client), token),
      this.#latest(this.#others, token),
    );
    // Not where one has ended, which a clock that comes back finds again.
    if (latest === Number.NEGATIVE_INFINITY) token.revocationVersion = this.#version;
    return now <= latest;
  }

  /** When the last of those that fit ends; −Infinity = none fits. */
  #latest(entries: readonly Revocation[] | undefined, token: VerifiedToken): number {
    let latest = Number.NEGATIVE_INFINITY;
    for (const entry of entries ?? []) {
      if (this.#fits(entry, token)) latest = Math.max(latest, entry.endsAt ?? Number.POSITIVE_INFINITY);
    }
    return latest;
  }

  #fits(entry: Revocation, { claims, issuer, issuedAt }: VerifiedToken): boolean {
    for (const name of ['jti', 'sub', 'sid'] as const) {
      if (entry[name] !== undefined && entry[name] !== claims[name]) return false;
    }
    if (entry.client_id !== undefined && entry.client_id !== (claims['client_id'] ?? claims['azp']))
      return false;
    if (entry.issuer !== undefined && entry.issuer !== this.#issuers[issuer]) return false;
    // Without iat (−Infinity) it may have been issued at any time: it counts as old.
    return entry.issuedBefore === undefined || issuedAt < entry.issuedBefore;
  }
}
