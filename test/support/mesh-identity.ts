// Identities of the mesh as istio-agent gets them and hands them out: istiod signs for a service account token, and Envoy gets
// certificate and key over SDS from the cluster `sds-grpc` that istiod's listeners name.
import { webcrypto } from 'node:crypto';
import {
  type Client,
  credentials,
  loadPackageDefinition,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServiceClientConstructor,
  type ServiceDefinition,
} from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';
import * as x509 from '@peculiar/x509';
import { grpcCluster } from './mesh-proxy.ts';

/** PEM. */
export interface MeshIdentity {
  readonly certificate: string;
  readonly key: string;
  /** Of the authority. */
  readonly root: string;
}

const string = (id: number) => ({ type: 'string', id });
const strings = (id: number) => ({ rule: 'repeated', type: 'string', id });
const message = (type: string, id: number) => ({ type, id });

/** security/v1alpha1/ca.proto of Istio's API. */
const CA = fromJSON({
  nested: {
    istio: {
      nested: {
        v1: {
          nested: {
            auth: {
              nested: {
                Request: { fields: { csr: string(1), validityDuration: { type: 'int64', id: 3 } } },
                Response: { fields: { certChain: strings(1) } },
                IstioCertificateService: {
                  methods: {
                    CreateCertificate: { requestType: 'Request', responseType: 'Response', comment: '' },
                  },
                },
              },
            },
          },
        },
      },
    },
  },
});

/** Of Envoy's secret.proto and discovery.proto. The value of an Any is bytes, which look like the message in its place. */
const SDS = fromJSON({
  nested: {
    DataSource: { fields: { inlineString: string(3) } },
    TlsCertificate: {
      fields: { certificateChain: message('DataSource', 1), privateKey: message('DataSource', 2) },
    },
    ValidationContext: { fields: { trustedCa: message('DataSource', 1) } },
    Secret: {
      fields: {
        name: string(1),
        tlsCertificate: message('TlsCertificate', 2),
        validationContext: message('ValidationContext', 4),
      },
    },
    AnySecret: { fields: { typeUrl: string(1), value: message('Secret', 2) } },
    Request: { fields: { versionInfo: string(1), resourceNames: strings(3), typeUrl: string(4) } },
    Response: {
      fields: {
        versionInfo: string(1),
        resources: { rule: 'repeated', type: 'AnySecret', id: 2 },
        typeUrl: string(4),
        nonce: string(5),
      },
    },
    envoy: {
      nested: {
        service: {
          nested: {
            secret: {
              nested: {
                v3: {
                  nested: {
                    SecretDiscoveryService: {
                      methods: {
                        StreamSecrets: {
                          requestType: '.Request',
                          requestStream: true,
                          responseType: '.Response',
                          responseStream: true,
                          comment: '',
                        },
                      },
                    },
                  },
                },
              },
            },
          },
        },
      },
    },
  },
});

export interface Authority {
  /** Of istiod on loopback, with TLS. */
  readonly port: number;
  readonly root: Buffer;
  /** Of a service account, for the audience istio-ca. */
  readonly token: string;
}

export async function requestIdentity({ port, root, token }: Authority): Promise<MeshIdentity> {
  const keys = (await webcrypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, [
    'sign',
    'verify',
  ])) as webcrypto.CryptoKeyPair;
  x509.cryptoProvider.set(webcrypto as unknown as Crypto);
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({
    keys,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
  });
  const packages = loadPackageDefinition(CA) as unknown as {
    istio: { v1: { auth: { IstioCertificateService: ServiceClientConstructor } } };
  };
  const client = new packages.istio.v1.auth.IstioCertificateService(
    `127.0.0.1:${port}`,
    credentials.createSsl(root),
    { 'grpc.ssl_target_name_override': 'istiod.istio-system.svc' },
  ) as unknown as Client & {
    CreateCertificate(
      request: object,
      metadata: Metadata,
      done: (error: Error | null, response: { certChain: string[] }) => void,
    ): void;
  };
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${token}`);
  metadata.set('clusterid', 'Kubernetes');
  try {
    const certChain = await new Promise<string[]>((resolve, reject) =>
      client.CreateCertificate(
        { csr: csr.toString('pem'), validityDuration: 3_600 },
        metadata,
        (error, response) => (error ? reject(error) : resolve(response.certChain)),
      ),
    );
    const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
    return {
      certificate: certChain.slice(0, -1).join(''),
      key: `-----BEGIN PRIVATE KEY-----\n${pkcs8.toString('base64').replace(/.{64}/g, '$&\n')}\n-----END PRIVATE KEY-----\n`,
      // "the root cert is the last element"
      root: certChain.at(-1)!,
    };
  } finally {
    client.close();
  }
}

export interface IdentityServer {
  /** For the bootstrap of the Envoy that has this identity. */
  readonly cluster: object;
  stop(): void;
}

interface SecretRequest {
  readonly versionInfo?: string;
  readonly resourceNames: readonly string[];
  readonly typeUrl: string;
}

/** `authorities`: PEM by the path that a DestinationRule names. */
export async function startIdentityServer(
  { certificate, key, root }: MeshIdentity,
  authorities: Readonly<Record<string, string>> = {},
): Promise<IdentityServer> {
  const trusted = (name: string, inlineString: string) => ({
    name,
    validationContext: { trustedCa: { inlineString } },
  });
  const secrets: Readonly<Record<string, object>> = {
    default: {
      name: 'default',
      tlsCertificate: { certificateChain: { inlineString: certificate }, privateKey: { inlineString: key } },
    },
    ROOTCA: trusted('ROOTCA', root),
    ...Object.fromEntries(
      Object.entries(authorities).map(([path, pem]) => [
        `file-root:${path}`,
        trusted(`file-root:${path}`, pem),
      ]),
    ),
  };
  const server = new Server();
  server.addService(SDS['envoy.service.secret.v3.SecretDiscoveryService'] as unknown as ServiceDefinition, {
    StreamSecrets(stream: ServerDuplexStream<SecretRequest, object>) {
      stream.on('data', ({ versionInfo, resourceNames, typeUrl }: SecretRequest) => {
        // An acknowledgement.
        if (versionInfo !== undefined) return;
        const resources = resourceNames.map((name) => ({ typeUrl, value: secrets[name] }));
        stream.write({ versionInfo: '1', nonce: '1', typeUrl, resources });
      });
      stream.on('end', () => stream.end());
    },
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  return { cluster: grpcCluster('sds-grpc', port), stop: () => server.forceShutdown() };
}
