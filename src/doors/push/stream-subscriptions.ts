// The names that one stream subscribed to, and the rules that both protocols share: type, limits, verdicts, one answer for
// many changes of the same moment.
import type { Status } from '../../gen/google/rpc/status.ts';
import { GrpcStatus } from '../../server/front.ts';
import type { MessageStream } from '../../server/streams.ts';
import type { Observer } from '../../telemetry/observer.ts';
import type { PushedSecret, PushedSecrets, Subscription } from './pushed-secrets.ts';
import { SECRET_TYPE_URL } from './secret-resource.ts';
import type { Peer } from './subscribers.ts';

export interface StreamDeps {
  readonly secrets: PushedSecrets;
  readonly observer: Observer;
  /** Of the listener, for the observer. */
  readonly name: string;
  /** Sources that this listener may serve; undefined = all. */
  readonly sources: ReadonlySet<string> | undefined;
}

export interface StreamSubscriptions {
  readonly all: ReadonlyMap<string, Subscription>;
  /** Who it is, for people who look. */
  readonly peer: Peer;
  /** Ends the stream and returns false when another type than secrets is asked for. */
  admitType(typeUrl: string): boolean;
  /** Adds a name that is not there yet; `before`: the version that the peer has of it. Ends the stream and returns undefined above the limits. */
  add(name: string, before?: string): Subscription | undefined;
  remove(name: string): void;
  /** The peer uses this secret now; `refusal`: why it keeps the one before. */
  judge(subscription: Subscription, secret: PushedSecret, refusal: Status | undefined): void;
}

/** A source's name has 128 characters at most, what is encoded behind it 256. */
const MAX_NAME_LENGTH = 1_024;

/** `changed` is called once for all changes of one moment. */
export function createStreamSubscriptions(
  stream: Pick<MessageStream<never, never>, 'end' | 'onEnd'>,
  { secrets, observer, name: listener, sources }: StreamDeps,
  changed: () => void,
): StreamSubscriptions {
  const all = new Map<string, Subscription>();
  /** Whether each is known, as the observer was told. */
  const told = new Map<string, boolean>();
  const peer: Peer = { listener, node: '' };
  let queued = false;
  let ended = false;

  const queue = (): void => {
    if (queued) return;
    queued = true;
    queueMicrotask(() => {
      queued = false;
      if (!ended) changed();
    });
  };
  const tell = (name: string, known: boolean | undefined): void => {
    const before = told.get(name);
    if (before === known) return;
    if (before !== undefined) observer.secretUnsubscribed(name, before);
    if (known === undefined) told.delete(name);
    else {
      told.set(name, known);
      observer.secretSubscribed(name, known);
    }
  };
  const remove = (name: string): void => {
    all.get(name)?.close();
    all.delete(name);
    tell(name, undefined);
  };
  stream.onEnd(() => {
    ended = true;
    for (const name of [...all.keys()]) remove(name);
  });

  return {
    all,
    peer,
    admitType(typeUrl) {
      // A service of one type only: the type may be left out.
      if (typeUrl === '' || typeUrl === SECRET_TYPE_URL) return true;
      observer.peerFault(listener, 'wrong_type_url');
      stream.end(GrpcStatus.INVALID_ARGUMENT, 'only secrets are served here');
      return false;
    },
    add(name, before) {
      const changedName = (): void => {
        tell(name, all.get(name)?.known);
        queue();
      };
      const subscription =
        name.length > MAX_NAME_LENGTH
          ? undefined
          : secrets.subscribe(name, sources, peer, changedName, before);
      if (subscription === undefined) {
        observer.peerFault(listener, 'too_many_names');
        stream.end(GrpcStatus.RESOURCE_EXHAUSTED, 'too many or too long resource names');
        return undefined;
      }
      all.set(name, subscription);
      tell(name, subscription.known);
      return subscription;
    },
    remove,
    judge(subscription, secret, refusal) {
      const { version } = secret;
      if (refusal === undefined) {
        subscription.acknowledge(secret);
        observer.secretAcknowledged(subscription.name, version);
        return;
      }
      // Nothing is sent again: the same secret would be refused again, in a hot loop. The next one is.
      subscription.reject(version);
      observer.secretRejected(subscription.name, version, refusal.message, subscription.known);
    },
  };
}
