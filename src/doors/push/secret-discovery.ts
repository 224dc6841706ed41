// Envoy's SecretDiscoveryService for one listener. Every subscribed name is answered at once, with the credential or
// with an empty secret: a silent SDS server holds every listener of a starting Envoy. One that comes back with a secret of the
// process before keeps it until there is another, or until its end.
import {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
  DiscoveryRequest,
  DiscoveryResponse,
} from '../../gen/envoy/service/discovery/v3/discovery.ts';
import { type StreamMethod, streamMethod } from '../../server/streams.ts';
import type { Observer } from '../../telemetry/observer.ts';
import { createDelta } from './delta.ts';
import type { PushedSecrets } from './pushed-secrets.ts';
import { createStateOfTheWorld } from './state-of-the-world.ts';

export interface SecretDiscoveryOptions {
  /** Shared by all listeners, so that acknowledgements are counted over all streams. */
  readonly secrets: PushedSecrets;
  readonly observer: Observer;
  /** Of the listener, for the observer. */
  readonly name: string;
  /** Sources that this listener may serve; undefined = all. Others are unknown names here. */
  readonly allowedSources: readonly string[] | undefined;
}

const SERVICE = '/envoy.service.secret.v3.SecretDiscoveryService';

export function createSecretDiscovery(options: SecretDiscoveryOptions): readonly StreamMethod[] {
  const { secrets, observer, name, allowedSources } = options;
  const sources = allowedSources === undefined ? undefined : new Set(allowedSources);
  const deps = { secrets, observer, name, sources };
  return [
    streamMethod(
      `${SERVICE}/StreamSecrets`,
      DiscoveryRequest,
      DiscoveryResponse,
      createStateOfTheWorld(deps),
    ),
    streamMethod(`${SERVICE}/DeltaSecrets`, DeltaDiscoveryRequest, DeltaDiscoveryResponse, createDelta(deps)),
  ];
}
