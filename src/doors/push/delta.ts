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

export function createDelta(deps: StreamDeps): StreamHandler<DeltaDiscoveryRequest, DeltaDiscoveryResponse> {
  return (stream) => {
    const names = createStreamSubscriptions(stream, deps, () => send([...names.all.values()]));
    /** The newest of each, and the answer that it went out with; '' once that had its verdict. */
    const sent = new Map<Subscription, { readonly secret: PushedSecret; readonly nonce: string }>();
    let nonces = 0;

    /** Those of `candidates` that the peer has not been sent yet. */
    function send(candidates: readonly Subscription[]): void {
      const secrets = candidates
        .filter((subscription) => !subscription.held())
        .map((s) => [s, s.current()] as const)
        .filter(([subscription, { sequence }]) => sent.get(subscription)?.secret.sequence !== sequence);
      if (secrets.length === 0) return;
      const nonce = String(++nonces);
      for (const [subscription, secret] of secrets) sent.set(subscription, { secret, nonce });
      const newest = secrets.reduce((a, [, b]) => (b.sequence > a.sequence ? b : a), secrets[0]![1]);
      stream.send({
        systemVersionInfo: newest.version,
        resources: secrets.map(([{ name }, { version, resource }]) => ({ name, version, resource })),
        typeUrl: SECRET_TYPE_URL,
        nonce,
      });
    }

    /** Of a secret that was sent again meanwhile the next verdict tells. */
    function takeVerdict({ responseNonce, errorDetail }: DeltaDiscoveryRequest): void {
      for (const [subscription, { secret, nonce }] of sent) {
        if (nonce !== responseNonce) continue;
        sent.set(subscription, { secret, nonce: '' });
        names.judge(subscription, secret, errorDetail);
      }
    }

    function drop(name: string): void {
      const subscription = names.all.get(name);
      if (subscription) sent.delete(subscription);
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
          sent.set(subscription, { secret, nonce: '' });
          subscription.acknowledge(secret);
        }
        asked.push(subscription);
      }
      send(asked);
    });
  };
}
