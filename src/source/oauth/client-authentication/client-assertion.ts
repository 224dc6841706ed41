// A client assertion that another authority signed (RFC 7521 section 4.2): a Kubernetes service account token, a JWT-SVID.
import type { CredentialError } from '../../../lib/errors.ts';
import type { Secret } from '../../../lib/secret.ts';
import type { ClientAuthentication } from './client-authentication.ts';

/** Who hands out assertions about this workload. */
export interface AssertionProvider {
  /** A JWT that has not ended. Rejects with {@link CredentialError}. */
  assertion(signal: AbortSignal): Promise<Secret>;
  /** To watch. */
  readonly files: readonly string[];
}

export function createClientAssertion(provider: AssertionProvider): ClientAuthentication {
  return {
    async authenticate(_server, signal) {
      const assertion = await provider.assertion(signal);
      return (_as, client, body) => {
        body.set('client_id', client.client_id);
        body.set('client_assertion_type', 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer');
        body.set('client_assertion', assertion.reveal());
      };
    },
    files: provider.files,
  };
}
