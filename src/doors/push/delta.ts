// DeltaSecrets: xDS, incremental. Only what changed is sent; every answer has its own nonce and verdict.
// Nothing is ever told as removed: a name without a credential has the empty secret, since Envoy must stop using the old.
import type {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
} from '../../gen/envoy/service/discovery/v3/discovery.ts';
import type { StreamHandler } from '../../server/streams.ts';
import type { PushedSecret, Subscription } from './pushed-secrets.ts';
import { SECRET_TYPE_URL } from './secret-resource.ts';
import { createStreamSubscriptions, type StreamDeps } from './stream-subscriptions.ts';
import { identify } from './subscribers.ts';

type Sent = readonly (readonly [Subscription, PushedSecret])[];

/** Answers whose verdict is awaited; a peer that never answers must not fill our memory. */
const MAX_UNANSWERED = 1_000;

export function createDelta(deps: StreamDeps): StreamHandler<DeltaDiscoveryRequest, DeltaDiscoveryResponse> {
  const { observer } = deps;
  return (stream) => {
    const names = createStreamSubscriptions(stream, deps, () => send([...names.all.values()]));
    const known = new Map<Subscription, number>();
    const unanswered = new Map<string, Sent>();
    let nonces = 0;

    /** Those of `candidates` that the peer has not been sent yet. */
    function send(candidates: readonly Subscription[]): void {
      const secrets: Sent = candidates
        .filter((subscription) => !subscription.held())
        .map((s) => [s, s.current()] as const)
        .filter(([subscription, { sequence }]) => known.get(subscription) !== sequence);
      if (secrets.length === 0) return;
      const nonce = String(++nonces);
      for (const [subscription, { sequence }] of secrets) known.set(subscription, sequence);
      unanswered.set(nonce, secrets);
      if (unanswered.size > MAX_UNANSWERED) unanswered.delete(unanswered.keys().next().value!);
      const newest = secrets.reduce((a, [, b]) => (b.sequence > a.sequence ? b : a), secrets[0]![1]);
      stream.send({
        systemVersionInfo: newest.version,
        resources: secrets.map(([{ name }, { version, resource }]) => ({ name, version, resource })),
        typeUrl: SECRET_TYPE_URL,
        nonce,
      });
    }

    function takeVerdict(request: DeltaDiscoveryRequest): void {
      const sent = unanswered.get(request.responseNonce);
      if (!sent) return;
      unanswered.delete(request.responseNonce);
      for (const [subscription, secret] of sent) {
        const { version } = secret;
        if (request.errorDetail) {
          subscription.reject(version);
          observer.secretRejected(subscription.name, version, request.errorDetail.message);
        } else {
          subscription.acknowledge(secret);
          observer.secretAcknowledged(subscription.name, version);
        }
      }
    }

    function drop(name: string): void {
      const subscription = names.all.get(name);
      if (subscription) known.delete(subscription);
      names.remove(name);
    }

    stream.onMessage((request) => {
      if (!names.admitType(request.typeUrl)) return;
      identify(names.peer, request.node);
      if (request.responseNonce !== '') takeVerdict(request);
      for (const name of request.resourceNamesUnsubscribe) drop(name);
      const asked: Subscription[] = [];
      for (const name of new Set(request.resourceNamesSubscribe)) {
        // Asked again means wanted again, even if nothing changed.
        drop(name);
        // Only a reconnecting peer states versions, and only of what it uses.
        const before = request.initialResourceVersions.get(name);
        const subscription = names.add(name, before);
        if (!subscription) return;
        const secret = subscription.current();
        if (before === secret.version) {
          known.set(subscription, secret.sequence);
          subscription.acknowledge(secret);
        }
        asked.push(subscription);
      }
      send(asked);
    });
  };
}
