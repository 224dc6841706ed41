// What every Envoy should have now, and what each of them said it has. Knows no streams and no protocol.
// A secret is encoded once a generation and shared by all its subscriptions.
import type { Credential, CredentialStore } from '../../credential/credential.ts';
import type { Any } from '../../gen/google/protobuf/any.ts';
import type { Clock, Timer } from '../../lib/clock.ts';
import type { PolicyTable } from '../../policy/policy.ts';
import {
  type Acknowledged,
  type Acknowledgements,
  type Acknowledger,
  carriedSince,
} from './acknowledgements.ts';
import { buildSecretResource } from './secret-resource.ts';
import { lastUseOf, versionText } from './secret-version.ts';
import { isSame, isServed, type MadeOf, servedSecrets } from './served-secrets.ts';
import { type Peer, type SubscriberStatus, subscriberStatus, type Verdicts } from './subscribers.ts';

export interface PushedSecret {
  /** Counts up with each change of any secret; 0 for a name that no policy has. */
  readonly sequence: number;
  /** versionText(). */
  readonly version: string;
  /** Of the credential in it; undefined = the empty secret. */
  readonly generation: number | undefined;
  readonly resource: Any;
}

/** One name on one stream. */
export interface Subscription {
  readonly name: string;
  /** Whether a policy names it now and this listener may serve it. */
  readonly known: boolean;
  current(): PushedSecret;
  /**
   * Nothing is to be sent yet: a secret of the process before is still good, and this one has had none. `changed` is called
   * when that is over.
   */
  held(): boolean;
  /** The peer said that it uses this secret now. */
  acknowledge(secret: Pick<PushedSecret, 'sequence' | 'version'>): void;
  /** It keeps the one before. */
  reject(version: string): void;
  close(): void;
}

export interface PushedSecrets extends Acknowledgements {
  /**
   * `changed` is called after each change of `current()`, never during this call. `before`: the version that the peer says it
   * has of this name, alone. undefined = too many are open.
   */
  subscribe(
    name: string,
    sources: ReadonlySet<string> | undefined,
    peer: Peer,
    changed: () => void,
    before?: string,
  ): Subscription | undefined;
  /**
   * Serves the names of these policies from now on, and `swapped` ones with another content than their own; what nothing
   * names becomes empty.
   */
  usePolicies(policies: Pick<PolicyTable, 'policies'>, swapped?: ReadonlyMap<string, MadeOf>): void;
  /** Whether an Envoy asks for this name now. */
  isFollowed(name: string): boolean;
  /** For people who look. */
  status(): { readonly subscribers: readonly SubscriberStatus[]; readonly leftOut: number };
  /** Stops following the store. */
  close(): void;
}

export interface PushedSecretsDeps {
  readonly store: CredentialStore;
  readonly policies: PolicyTable;
  readonly clock: Clock;
}

interface Follower extends Acknowledger {
  readonly changed: () => void;
  readonly peer: Peer;
  readonly verdicts: Verdicts;
}

interface Entry extends Acknowledged {
  /** Whether this process ever had a credential for it. */
  filled: boolean;
  current: PushedSecret;
  readonly followers: Set<Follower>;
  unfollowStore: () => void;
}

/** The wall clock may jump. */
const HELD_LOOK_MS = 1_000;

/** Over all streams: far above one name a source and Envoy, and each costs about 1.5 KB. */
const MAX_SUBSCRIPTIONS = 10_000;

export function createPushedSecrets({ store, policies, clock }: PushedSecretsDeps): PushedSecrets {
  const epoch = clock.now();
  let madeOf = servedSecrets(policies);
  const entries = new Map<string, Entry>();
  let sequence = 0;
  let subscriptions = 0;

  const secretOf = (
    name: string,
    number: number,
    value: string,
    credential?: Pick<Credential, 'generation' | 'usableUntil'>,
  ): PushedSecret => ({
    sequence: number,
    version: versionText(epoch, number, credential?.usableUntil),
    generation: credential?.generation,
    resource: buildSecretResource(name, value),
  });

  function entryOf(name: string): Entry {
    const known = entries.get(name);
    if (known !== undefined) return known;
    const entry: Entry = {
      name,
      made: undefined,
      current: secretOf(name, 0, ''),
      filled: false,
      followers: new Set(),
      unfollowStore: () => {},
    };
    entries.set(name, entry);
    follow(entry, madeOf.get(name));
    return entry;
  }

  function follow(entry: Entry, made: MadeOf | undefined): void {
    entry.made = made;
    entry.unfollowStore();
    entry.unfollowStore = () => {};
    if (made === undefined) return;
    if ('share' in made) {
      publish(entry, made.share, undefined);
      return;
    }
    const { source, header } = made;
    // The store tells at once what there is: never empty in between.
    let first = true;
    entry.unfollowStore = store.subscribe(source, (credential: Credential | undefined) => {
      if (!first && credential?.generation === entry.current.generation) return;
      first = false;
      const value = credential === undefined ? '' : header.valueOf(credential.value.reveal());
      publish(entry, value, credential);
    });
  }

  function publish(entry: Entry, value: string, credential: Credential | undefined): void {
    entry.current = secretOf(entry.name, ++sequence, value, credential);
    entry.filled ||= credential !== undefined;
    for (const follower of entry.followers) {
      if (isServed(entry.made, follower.sources)) follower.changed();
    }
  }

  /** No policy names it any more: those who had a credential get the empty secret. */
  function end(entry: Entry): void {
    const had = [...entry.followers].filter((follower) => isServed(entry.made, follower.sources));
    follow(entry, undefined);
    entry.current = secretOf(entry.name, ++sequence, '');
    for (const follower of had) follower.changed();
    forget(entry);
  }

  /** What no policy has is kept only while somebody asks for it: a peer may ask for any name. */
  function forget({ name, made, followers }: Entry): void {
    if (followers.size === 0 && made === undefined) entries.delete(name);
  }

  return {
    subscribe(name, sources, peer, changed, before) {
      if (subscriptions >= MAX_SUBSCRIPTIONS) return undefined;
      subscriptions++;
      const entry = entryOf(name);
      // By both clocks: one that is set back prolongs nothing.
      const heldUntil = lastUseOf(before);
      const heldUntilMonotonic = clock.monotonic() + heldUntil - clock.now();
      let looking: Timer | undefined;
      const follower: Follower = {
        ...{ sources, changed, peer, verdicts: {} },
        acknowledged: 0,
        acknowledgedAt: 0,
      };
      entry.followers.add(follower);
      const held = (): boolean => {
        const { made, filled } = entry;
        if (filled || !isServed(made, follower.sources) || 'share' in made!) return false;
        return clock.now() < heldUntil && clock.monotonic() < heldUntilMonotonic;
      };
      function look(): void {
        looking = held() ? clock.setTimer(look, HELD_LOOK_MS) : undefined;
        if (looking === undefined) changed();
      }
      if (held()) look();
      return {
        name,
        held,
        get known() {
          return isServed(entry.made, follower.sources);
        },
        current: () =>
          entry.made === undefined || isServed(entry.made, follower.sources)
            ? entry.current
            : secretOf(name, 0, ''),
        acknowledge({ sequence: acknowledged, version }) {
          if (acknowledged <= follower.acknowledged) return;
          follower.acknowledged = acknowledged;
          follower.acknowledgedAt = clock.monotonic();
          follower.verdicts.acknowledged = { version, at: clock.now() };
          delete follower.verdicts.rejected;
        },
        reject(version) {
          follower.verdicts.rejected = { version, at: clock.now() };
        },
        close() {
          looking?.cancel();
          if (entry.followers.delete(follower)) subscriptions--;
          forget(entry);
        },
      };
    },
    carriedSince: (source, policy) => carriedSince(entries.values(), clock, source, policy),
    usePolicies(next, swapped = new Map()) {
      madeOf = new Map([...servedSecrets(next), ...swapped]);
      for (const entry of entries.values()) {
        const made = madeOf.get(entry.name);
        // The name stands for source and form, so one that goes on goes on with the same credential.
        if (made === undefined && entry.made !== undefined) end(entry);
        else if (entry.made === undefined || made === undefined || !isSame(entry.made, made))
          follow(entry, made);
        else entry.made = made;
      }
    },
    isFollowed: (name) => (entries.get(name)?.followers.size ?? 0) > 0,
    status: () =>
      subscriberStatus(
        [...entries.values()].flatMap(({ name, made, current, followers }) =>
          [...followers].map((follower) => {
            const { peer, verdicts } = follower;
            const known = isServed(made, follower.sources);
            const version = made === undefined || known ? current.version : versionText(epoch, 0);
            return {
              peer,
              name,
              known,
              version,
              filled: known && current.generation !== undefined,
              verdicts,
            };
          }),
        ),
      ),
    close() {
      for (const entry of entries.values()) entry.unfollowStore();
      entries.clear();
    },
  };
}
