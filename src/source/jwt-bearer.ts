// OAuth 2.0 JWT bearer grant (RFC 7523 section 2.1): an assertion is changed for a token.
import type { SourceConfig } from '../config/config.ts';
import type { TokenSource } from '../credential/credential.ts';
import { watchFiles } from '../lib/watch.ts';
import { createAssertionFile } from './oauth/assertion-file.ts';
import { createOAuthClient } from './oauth/client.ts';
import { createSignedAssertion } from './oauth/signed-assertion.ts';
import { buildTokenParameters } from './oauth/token-parameters.ts';
import { toIssuedToken } from './oauth/token-reply.ts';
import type { SourceDeps } from './registry.ts';

type JwtBearerConfig = Extract<SourceConfig, { type: 'jwt_bearer' }>;

export function createJwtBearerSource(config: JwtBearerConfig, deps: SourceDeps): TokenSource {
  const client = createOAuthClient(config, deps);
  const provider =
    config.assertion.from === 'file'
      ? createAssertionFile(config.assertion.path, deps.clock)
      : createSignedAssertion(config.assertion, config.issuer !== undefined, deps);
  return {
    name: config.name,
    type: 'jwt_bearer',
    endpoint: client.endpoint,
    syntax: 'b64token',
    perSubject: false,
    async issue({ signal }) {
      const reply = await client.requestToken(
        {
          grantType: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
          async parameters(server) {
            const form = buildTokenParameters(config);
            form.set('assertion', (await provider.assertion(server, signal)).reveal());
            return form;
          },
        },
        signal,
      );
      return toIssuedToken(reply);
    },
    watch(changed) {
      const stops = [client.watch(changed), watchFiles(provider.files, deps.clock, changed)];
      return () => {
        for (const stop of stops) stop();
      };
    },
    close: client.close,
  };
}
