// A credential store that a test fills by hand.
import type { Credential, CredentialListener, CredentialStore } from '../../src/credential/credential.ts';
import { Secret } from '../../src/lib/secret.ts';
import type { ForcedRefresh } from '../../src/telemetry/event-details.ts';

export interface Refused {
  readonly source: string;
  readonly generation: number;
  readonly requestKey: string;
}

export class FakeStore implements CredentialStore {
  readonly refusals: Refused[] = [];
  refusedAnswer: ForcedRefresh = 'started';
  #generation = 0;
  readonly #current = new Map<string, Credential>();
  readonly #listeners = new Map<string, Set<CredentialListener>>();

  /** Publishes a new credential, or with undefined ends the current one. Returns its generation. */
  publish(source: string, token: string | undefined): number {
    const credential =
      token === undefined
        ? undefined
        : {
            source,
            issuedBy: source,
            value: new Secret(token),
            generation: ++this.#generation,
            issuedAt: 0,
            expiresAt: Number.POSITIVE_INFINITY,
            usableUntil: Number.POSITIVE_INFINITY,
            usableUntilMonotonic: Number.POSITIVE_INFINITY,
            proofKey: undefined,
            keyId: undefined,
            bound: false,
          };
    if (credential) this.#current.set(source, credential);
    else this.#current.delete(source);
    for (const listener of this.#listeners.get(source) ?? []) listener(credential);
    return this.#generation;
  }

  listenerCount(source: string): number {
    return this.#listeners.get(source)?.size ?? 0;
  }

  reader(source: string): () => Credential | undefined {
    return () => this.peek(source);
  }

  peek(source: string): Credential | undefined {
    return this.#current.get(source);
  }

  subscribe(source: string, listener: CredentialListener): () => void {
    const listeners = this.#listeners.get(source) ?? new Set();
    this.#listeners.set(source, listeners);
    listeners.add(listener);
    listener(this.peek(source));
    return () => void listeners.delete(listener);
  }

  refused(source: string, generation: number, requestKey: string): ForcedRefresh {
    this.refusals.push({ source, generation, requestKey });
    return this.refusedAnswer;
  }

  get(): Promise<Credential> {
    throw new Error('this fake only publishes');
  }
  after(): Promise<Credential> {
    throw new Error('this fake only publishes');
  }
  subjectOf(): undefined {
    return undefined;
  }
  failure(): undefined {
    return undefined;
  }
  retryAfterMs(): number {
    return 1_000;
  }
  missing(): readonly string[] {
    return [];
  }
  status(): readonly [] {
    return [];
  }
  start(): void {}
  async stop(): Promise<void> {}
}
