// What else in Envoy's configuration has to do with credentials, and is not carried over: named, so that nobody thinks it was.
import { isType, objectsIn } from '../envoy-json.ts';

const OTHERS: readonly (readonly [type: string, what: string])[] = [
  [
    'filters.http.oauth2.v3.OAuth2',
    'envoy.filters.http.oauth2 logs users in by a browser. bearerd does not: keep it, or let it stand at the edge',
  ],
  [
    'jwt_authn.v3.JwtAuthentication',
    'envoy.filters.http.jwt_authn checks tokens that come in: policies under inbound do so (docs/inbound.md)',
  ],
  [
    'aws_request_signing.v3.AwsRequestSigning',
    'envoy.filters.http.aws_request_signing signs requests: keep it',
  ],
  ['gcp_authn.v3.GcpAuthnFilterConfig', 'envoy.filters.http.gcp_authn fetches identity tokens: keep it'],
];

/** One line each. */
export function otherCredentials(configuration: unknown): readonly string[] {
  const objects = objectsIn(configuration).map(({ object }) => object);
  const found = OTHERS.filter(([type]) => objects.some((object) => isType(object, type))).map(
    ([, what]) => what,
  );
  const added = objects.some((object) => {
    const { key } = object;
    return typeof key === 'string' && /^(authorization|x-api-key)$/i.test(key) && 'value' in object;
  });
  return added
    ? [
        ...found,
        'a route or virtual host adds a header with a credential (request_headers_to_add): a source static does so',
      ]
    : found;
}
