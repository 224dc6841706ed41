// StreamSecrets: xDS, state of the world. Every answer holds all subscribed secrets; one nonce counts at a time.
import type { DiscoveryRequest, DiscoveryResponse } from '../../gen/envoy/service/discovery/v3/discovery.ts';
import type { StreamHandler } from '../../server/streams.ts';
import type { PushedSecret, Subscription } from './pushed-secrets.ts';
import { SECRET_TYPE_URL } from './secret-resource.ts';
import { createStreamSubscriptions, type StreamDeps } from './stream-subscriptions.ts';
import { identify } from './subscribers.ts';

interface Sent {
  readonly nonce: string;
  readonly secrets: readonly (readonly [Subscription, PushedSecret])[];
}

export function createStateOfTheWorld(deps: StreamDeps): StreamHandler<DiscoveryRequest, DiscoveryResponse> {
  return (stream) => {
    const names = createStreamSubscriptions(stream, deps, sendAll);
    let nonces = 0;
    let last: Sent | undefined;

    function sendAll(): void {
      const secrets = [...names.all.values()].filter((s) => !s.held()).map((s) => [s, s.current()] as const);
      if (secrets.length === 0) return;
      const newest = secrets.reduce((a, [, b]) => (b.sequence > a.sequence ? b : a), secrets[0]![1]);
      last = { nonce: String(++nonces), secrets };
      stream.send({
        versionInfo: newest.version,
        resources: secrets.map(([, secret]) => secret.resource),
        typeUrl: SECRET_TYPE_URL,
        nonce: last.nonce,
      });
    }

    stream.onMessage((request) => {
      if (!names.admitType(request.typeUrl)) return;
      identify(names.peer, request.node);
      // An answer to an earlier push: one to the latest follows, with the names as they are then.
      if (last && request.responseNonce !== '' && request.responseNonce !== last.nonce) return;
      if (last && request.responseNonce === last.nonce) {
        for (const [subscription, secret] of last.secrets)
          names.judge(subscription, secret, request.errorDetail);
        // The one verdict: whatever follows with this nonce asks for other names, and a refused secret stays refused.
        last = { ...last, secrets: [] };
      }

      const wanted = new Set(request.resourceNames);
      let changed = false;
      for (const name of [...names.all.keys()]) {
        if (wanted.has(name)) continue;
        names.remove(name);
        changed = true;
      }
      for (const name of wanted) {
        if (names.all.has(name)) continue;
        // Of a new connection; the one version of several names would say nothing of each.
        const before = last === undefined && wanted.size === 1 ? request.versionInfo : undefined;
        if (!names.add(name, before)) return;
        changed = true;
      }
      if (changed) sendAll();
    });
  };
}
