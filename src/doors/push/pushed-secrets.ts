// What every Envoy should have now, and what each of them said it has. Knows no streams and no protocol.
// A secret is encoded once a generation and shared by all its subscriptions.
import type { Credential, CredentialStore } from '../../credential/credential.ts';
import type { Any } from '../../gen/google/protobuf/any.ts';
import type { Clock } from '../../lib/clock.ts';
import type { InjectedHeader } from '../../policy/injection.ts';
import type { PolicyTable } from '../../policy/policy.ts';
import { buildSecretResource } from './secret-resource.ts';

export interface PushedSecret {
  /** Counts up with each change of any secret; 0 for a name that no policy has. */
  readonly sequence: number;
  /** `<process>.<sequence>`: a version of an earlier process is never taken for one of this. Never from the token. */
  readonly version: string;
  /** Of the credential in it; undefined = the empty secret. */
  readonly generation: number | undefined;
  readonly resource: Any;
}

/** One name on one stream. */
export interface Subscription {
  readonly name: string;
  /** Whether a policy names it and this listener may serve it. */
  readonly known: boolean;
  current(): PushedSecret;
  /** The peer said that it uses the secret of this sequence now. */
  acknowledge(sequence: number): void;
  close(): void;
}

export interface Acknowledgements {
  /**
   * Since when (wall clock, epoch ms) every subscribed stream has acknowledged the current credential of this source.
   * undefined = nobody subscribed, one of them has not acknowledged it, or there is none.
   */
  carriedSince(source: string): { readonly generation: number; readonly sinceEpochMs: number } | undefined;
}

export interface PushedSecrets extends Acknowledgements {
  /** `changed` is called after each change of `current()`, never during this call. */
  subscribe(name: string, sources: ReadonlySet<string> | undefined, changed: () => void): Subscription;
  /** Stops following the store. */
  close(): void;
}

export interface PushedSecretsDeps {
  readonly store: CredentialStore;
  readonly policies: PolicyTable;
  readonly clock: Clock;
}

interface Follower {
  readonly changed: () => void;
  acknowledged: number;
  acknowledgedAt: number;
}

/** What a secret is made of. */
interface Made {
  readonly source: string;
  readonly header: InjectedHeader;
}

interface Entry {
  readonly source: string;
  current: PushedSecret;
  readonly followers: Set<Follower>;
  unfollowStore: () => void;
}

export function createPushedSecrets({ store, policies, clock }: PushedSecretsDeps): PushedSecrets {
  const epoch = clock.now();
  // Headers that share a name share source and form, so any stands for all. A subject's credential is no secret of
  // Envoy's: it would go on everybody's requests.
  const served = policies.policies.filter(({ subject }) => subject === undefined);
  const secretsOf = new Map<string, Made>(
    served.flatMap(({ source, injection }) =>
      injection.headers.map((header) => [header.secretName, { source, header }]),
    ),
  );
  const entries = new Map<string, Entry>();
  let sequence = 0;

  const secretOf = (name: string, number: number, value: string, generation?: number): PushedSecret => ({
    sequence: number,
    version: `${epoch}.${number}`,
    generation,
    resource: buildSecretResource(name, value),
  });

  function follow({ source, header }: Made): Entry {
    const { secretName } = header;
    const entry: Entry = {
      source,
      current: secretOf(secretName, ++sequence, ''),
      followers: new Set(),
      unfollowStore: () => {},
    };
    entries.set(secretName, entry);
    entry.unfollowStore = store.subscribe(source, (credential: Credential | undefined) => {
      if (credential?.generation === entry.current.generation) return;
      const value = credential === undefined ? '' : header.valueOf(credential.value.reveal());
      entry.current = secretOf(secretName, ++sequence, value, credential?.generation);
      for (const follower of entry.followers) follower.changed();
    });
    return entry;
  }

  return {
    subscribe(name, sources, changed) {
      const made = secretsOf.get(name);
      if (!made || (sources !== undefined && !sources.has(made.source))) {
        const empty = secretOf(name, 0, '');
        return { name, known: false, current: () => empty, acknowledge() {}, close() {} };
      }
      const entry = entries.get(name) ?? follow(made);
      const follower: Follower = { changed, acknowledged: 0, acknowledgedAt: 0 };
      entry.followers.add(follower);
      return {
        name,
        known: true,
        current: () => entry.current,
        acknowledge(acknowledged) {
          if (acknowledged <= follower.acknowledged) return;
          follower.acknowledged = acknowledged;
          follower.acknowledgedAt = clock.now();
        },
        close: () => void entry.followers.delete(follower),
      };
    },
    carriedSince(source) {
      let since: { generation: number; sinceEpochMs: number } | undefined;
      for (const { source: of, current, followers } of entries.values()) {
        if (of !== source || followers.size === 0) continue;
        if (current.generation === undefined) return undefined;
        since ??= { generation: current.generation, sinceEpochMs: 0 };
        if (since.generation !== current.generation) return undefined;
        for (const { acknowledged, acknowledgedAt } of followers) {
          if (acknowledged !== current.sequence) return undefined;
          since.sinceEpochMs = Math.max(since.sinceEpochMs, acknowledgedAt);
        }
      }
      return since;
    },
    close() {
      for (const entry of entries.values()) entry.unfollowStore();
      entries.clear();
    },
  };
}
