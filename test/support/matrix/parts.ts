// What clients of the matrix prove themselves with: keys, certificates and assertions, made anew.
import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type JWTPayload, SignJWT } from 'jose';
import { type Authority, type CertificateFiles, createAuthority } from '../../../demo/certificates.ts';
import { startBundleEndpoint } from '../bundle-endpoint.ts';
import { type StartedWorkloadApi, startWorkloadApi } from '../workload-api.ts';

export const SECRET = 's+e/c:r%e t';

export interface Parts {
  readonly folder: string;
  readonly authority: Authority;
  readonly own: { readonly privateKey: KeyObject; readonly publicKey: KeyObject };
  readonly signer: Parts['own'];
  readonly cluster: Parts['own'];
  readonly certificates: Readonly<Record<'orders' | 'self', CertificateFiles>>;
  /** Identity spiffe://example.org/checkout. */
  readonly workloadApi: StartedWorkloadApi;
  /** Bundle endpoint of its trust domain, https. */
  readonly bundleEndpoint: string;
  stop(): Promise<void>;
  write(name: string, content: string): string;
  /** What the client proves itself with, in words of the configuration. */
  proof(method: string, provider: string, row: string, issuer: string): Promise<object>;
}

export async function createParts(folder: string): Promise<Parts> {
  const authority = await createAuthority(folder);
  const stranger = await createAuthority(folder, 'another authority');
  const rsa = () => generateKeyPairSync('rsa', { modulusLength: 2048 });
  const [own, signer, cluster] = [generateKeyPairSync('ec', { namedCurve: 'P-256' }), rsa(), rsa()];
  const certificates = {
    orders: await authority.issue('orders', 'client'),
    self: await stranger.issue('self', 'client'),
  };
  const write = (name: string, content: string) => {
    const path = join(folder, name);
    writeFileSync(path, content, { mode: 0o600 });
    return path;
  };
  const workloadApi = await startWorkloadApi({ socket: join(folder, 'agent.sock') });
  const bundle = await startBundleEndpoint(authority, workloadApi);
  // Keycloak takes those of a cluster; oidc-provider knows no federation, only keys of the client itself.
  const federated = signed(cluster.privateKey, 'RS256', {
    iss: 'https://kubernetes.default.svc',
    sub: 'system:serviceaccount:shop:orders',
  });
  const ofClient = signed(own.privateKey, 'ES256', { iss: 'key', sub: 'key' });

  return {
    folder,
    authority,
    own,
    signer,
    cluster,
    certificates,
    workloadApi,
    bundleEndpoint: bundle.url,
    async stop() {
      await workloadApi.stop();
      bundle.stop();
    },
    write,
    async proof(method, provider, row, issuer) {
      switch (method) {
        case 'client_secret_basic':
        case 'client_secret_post':
          return { client_secret: { inline: SECRET } };
        case 'client_secret_basic + DPoP':
          return { client_secret: { inline: SECRET }, dpop: true };
        case 'private_key_jwt':
          return { private_key_jwt: { key: { file: write('key.pem', pem(own.privateKey)) } } };
        case 'client_assertion':
          return {
            client_assertion: {
              file: write(`${row}.jwt`, await (provider === 'Keycloak' ? federated : ofClient)(issuer)),
            },
          };
        case 'client_assertion (SPIFFE)':
          return { client_assertion: { spiffe: { socket: `unix://${workloadApi.socket}` } } };
        case 'tls_client_auth':
        case 'self_signed_tls_client_auth': {
          const { cert, key } = certificates[method === 'tls_client_auth' ? 'orders' : 'self'];
          return { client_certificate: { certificate: cert, private_key: key } };
        }
        default:
          return {};
      }
    },
  };
}

function signed(key: KeyObject, alg: string, claims: JWTPayload): (audience: string) => Promise<string> {
  return (aud) =>
    new SignJWT({ ...claims, aud, jti: randomBytes(8).toString('hex') })
      .setProtectedHeader({ alg })
      .setIssuedAt()
      .setExpirationTime('5m')
      .sign(key);
}

export function pem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }) as string;
}
