// Every source × client authentication × provider through every door of real Envoys, each tested version: one row a line, and a row for each
// combination, real or with the reason why there is none.
import { after, before, describe, test } from 'node:test';
import { kindNames } from '../../src/config/source/kinds.ts';
import { keycloakMissing } from '../../tools/parts/keycloak.ts';
import { type StartedMatrix, startMatrix } from '../support/matrix/matrix.ts';
import { DOORS, type Row } from '../support/matrix/row.ts';

const METHODS = [
  'client_secret_basic',
  'client_secret_basic + DPoP',
  'client_secret_post',
  'private_key_jwt',
  'client_assertion',
  'client_assertion (SPIFFE)',
  'tls_client_auth',
  'self_signed_tls_client_auth',
  'none',
] as const;
const OAUTH = ['client_credentials', 'jwt_bearer', 'token_exchange', 'refresh_token'] as const;
const PROVIDERS = ['oidc-provider', 'Keycloak'] as const;

/** Why a combination cannot be. The first that fits. */
const IMPOSSIBLE: readonly (readonly [source: RegExp, method: RegExp, provider: RegExp, reason: string])[] = [
  [
    /client_credentials/,
    /^none$/,
    /./,
    'RFC 6749 section 4.4: the grant is for clients that prove themselves',
  ],
  [/jwt_bearer/, /./, /oidc-provider/, 'oidc-provider has no JWT bearer grant'],
  [/token_exchange/, /./, /oidc-provider/, 'oidc-provider has no token exchange of its own'],
  [/./, /SPIFFE/, /oidc-provider/, 'oidc-provider takes assertions by the client itself only'],
  [/./, /self_signed/, /Keycloak/, 'Keycloak 26.7 knows certificates of clients by their subject only'],
  [
    /jwt_bearer|token_exchange/,
    /^none$/,
    /Keycloak/,
    'Keycloak 26.7 gives these grants to confidential clients only',
  ],
];

const rows: readonly Row[] = [
  ...OAUTH.flatMap((source) =>
    METHODS.flatMap((method) => PROVIDERS.map((provider): Row => ({ source, method, provider }))),
  ),
  { source: 'static', method: '-', provider: 'a file' },
  { source: 'file', method: '-', provider: 'a file' },
  { source: 'api_keys', method: '-', provider: 'a file' },
  { source: 'signed_jwt', method: '-', provider: 'bearerd itself' },
  { source: 'spiffe_jwt', method: '-', provider: 'the Workload API' },
  { source: 'exec', method: '-', provider: 'a script' },
  { source: 'http', method: '-', provider: 'a small server' },
];

const missing = await keycloakMissing();

function impossible({ source, method, provider }: Row): string | undefined {
  return IMPOSSIBLE.find(([s, m, p]) => s.test(source) && m.test(method) && p.test(provider))?.[3];
}
const real = rows.filter((row) => impossible(row) === undefined);

describe('sources through doors', () => {
  let matrix: StartedMatrix;
  before(async () => {
    matrix = await startMatrix(real.filter((row) => row.provider !== 'Keycloak' || missing === undefined));
  });
  after(() => matrix?.stop());

  for (const row of rows) {
    const name = `${row.source} × ${row.method} × ${row.provider}`;
    const reason = impossible(row);
    if (reason !== undefined) {
      test(`${name}: impossible, since ${reason}`, { skip: true });
      continue;
    }
    for (const door of DOORS) {
      const skip = row.provider === 'Keycloak' && missing !== undefined ? missing : false;
      test(`${name} × ${door}`, { skip }, async (t) => {
        const refusal = await matrix.verify(row, door);
        if (refusal !== undefined) t.diagnostic(`impossible, since ${refusal}`);
      });
    }
  }

  for (const kind of kindNames.filter((kind) => !rows.some((row) => row.source === kind))) {
    test(`${kind} has no row yet`, { todo: true });
  }
});
