// A client assertion that another authority signed (RFC 7521 section 4.2): a Kubernetes service account token, a JWT-SVID.
import type { ClientAssertionType } from '../../../config/config.ts';
import type { AssertionProvider } from '../assertion.ts';
import type { ClientAuthentication } from './client-authentication.ts';

export function createClientAssertion(
  provider: AssertionProvider,
  type: ClientAssertionType,
): ClientAuthentication {
  return {
    async authenticate(server, signal) {
      const assertion = await provider.assertion(server, signal);
      return (_as, client, body) => {
        body.set('client_id', client.client_id);
        body.set('client_assertion_type', `urn:ietf:params:oauth:client-assertion-type:${type}`);
        body.set('client_assertion', assertion.reveal());
      };
    },
    files: provider.files,
  };
}
