// A credential as Envoy's Secret. The only place of this door that reveals a token.
import { Secret } from '../../gen/envoy/extensions/transport_sockets/tls/v3/secret.ts';
import type { Any } from '../../gen/google/protobuf/any.ts';

export const SECRET_TYPE_URL = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret';

/**
 * `value` is the whole header value, prefix and token; empty = no credential. The empty string stays on the wire:
 * without it Envoy refuses the update and keeps the old token.
 */
export function buildSecretResource(name: string, value: string): Any {
  const secret = Secret.encode({
    name,
    type: {
      $case: 'genericSecret',
      genericSecret: { secret: { specifier: { $case: 'inlineString', inlineString: value } } },
    },
  });
  return { typeUrl: SECRET_TYPE_URL, value: secret.finish() };
}
