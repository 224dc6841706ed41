// A SPIFFE Workload API on a Unix socket, written from the specification: JWT-SVIDs and their bundles, for one workload
// with one or several identities. go-spiffe takes it for a real one (workload-api.test.ts).
import { rmSync } from 'node:fs';
import {
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import { exportJWK, generateKeyPair, type JSONWebKeySet, SignJWT } from 'jose';
import {
  JWTBundlesRequest,
  JWTBundlesResponse,
  JWTSVIDRequest,
  JWTSVIDResponse,
} from '../../src/gen/spiffe/workload.ts';

export interface WorkloadApiOptions {
  readonly socket: string;
  /** The default identity first. Default spiffe://example.org/checkout. */
  readonly identities?: readonly string[];
  /** Default 300. */
  readonly lifetimeSeconds?: number;
}

export interface StartedWorkloadApi {
  readonly socket: string;
  /** Of the trust domain. */
  readonly jwks: () => JSONWebKeySet;
  /** Audiences of each FetchJWTSVID so far. */
  readonly fetched: readonly (readonly string[])[];
  /** Calls without the security header; they were refused. */
  readonly refusedCalls: number;
  readonly openStreams: number;
  /** From now on the workload has no identity. */
  deny(denied: boolean): void;
  /** A new signing key; the old one leaves the bundle, and every open stream is told. */
  rotate(): Promise<void>;
  stop(): Promise<void>;
  /** On the same socket again. */
  start(): Promise<void>;
}

const TRUST_DOMAIN = 'spiffe://example.org';

export async function startWorkloadApi(options: WorkloadApiOptions): Promise<StartedWorkloadApi> {
  const { socket, identities = [`${TRUST_DOMAIN}/checkout`], lifetimeSeconds = 300 } = options;
  const streams = new Set<ServerWritableStream<JWTBundlesRequest, JWTBundlesResponse>>();
  const fetched: string[][] = [];
  let refusedCalls = 0;
  let denied = false;
  let keyCount = 0;
  let key = await newKey();
  let server: Server | undefined;

  async function newKey() {
    const { privateKey, publicKey } = await generateKeyPair('ES256');
    const kid = `key-${++keyCount}`;
    // SPIFFE_Trust_Domain_and_Bundle.md section 4.2.3: the use of a key for JWT-SVIDs.
    return { privateKey, kid, jwks: { keys: [{ ...(await exportJWK(publicKey)), kid, use: 'jwt-svid' }] } };
  }

  const bundles = (): JWTBundlesResponse => ({
    bundles: new Map([[TRUST_DOMAIN, Buffer.from(JSON.stringify(key.jwks))]]),
  });

  /** What refuses a call, if anything does. Section 5: the header; section 4.1: a workload without identity. */
  function refusal(call: { metadata: { get(name: string): unknown[] } }) {
    if (call.metadata.get('workload.spiffe.io')[0] !== 'true') {
      refusedCalls++;
      return { code: status.INVALID_ARGUMENT, details: 'security header missing from request' };
    }
    return denied ? { code: status.PERMISSION_DENIED, details: 'no identity issued' } : undefined;
  }

  async function fetchJwtSvid(
    call: ServerUnaryCall<JWTSVIDRequest, JWTSVIDResponse>,
    reply: sendUnaryData<JWTSVIDResponse>,
  ): Promise<void> {
    const refused = refusal(call);
    if (refused) return reply(refused);
    const { audience, spiffeId } = call.request;
    if (audience.length === 0)
      return reply({ code: status.INVALID_ARGUMENT, details: 'audience must be specified' });
    const wanted = spiffeId === '' ? identities : identities.filter((id) => id === spiffeId);
    if (wanted.length === 0) return reply({ code: status.PERMISSION_DENIED, details: 'no identity issued' });
    fetched.push(audience);
    const svids = wanted.map(async (id) => ({
      spiffeId: id,
      hint: '',
      svid: await new SignJWT({})
        .setProtectedHeader({ alg: 'ES256', kid: key.kid, typ: 'JWT' })
        .setSubject(id)
        .setAudience(audience)
        .setIssuedAt()
        .setExpirationTime(`${lifetimeSeconds}s`)
        .setJti(String(fetched.length))
        .sign(key.privateKey),
    }));
    reply(null, { svids: await Promise.all(svids) });
  }

  function fetchJwtBundles(call: ServerWritableStream<JWTBundlesRequest, JWTBundlesResponse>): void {
    const refused = refusal(call);
    if (refused) return void call.emit('error', refused);
    streams.add(call);
    call.on('close', () => streams.delete(call));
    call.on('cancelled', () => streams.delete(call));
    call.write(bundles());
  }

  async function start(): Promise<void> {
    const next = new Server();
    const asBuffer = (value: Uint8Array) => Buffer.from(value);
    next.addService(
      {
        FetchJWTSVID: {
          path: '/SpiffeWorkloadAPI/FetchJWTSVID',
          requestStream: false,
          responseStream: false,
          requestSerialize: (value: JWTSVIDRequest) => asBuffer(JWTSVIDRequest.encode(value).finish()),
          requestDeserialize: JWTSVIDRequest.decode,
          responseSerialize: (value: JWTSVIDResponse) => asBuffer(JWTSVIDResponse.encode(value).finish()),
          responseDeserialize: JWTSVIDResponse.decode,
        },
        FetchJWTBundles: {
          path: '/SpiffeWorkloadAPI/FetchJWTBundles',
          requestStream: false,
          responseStream: true,
          requestSerialize: (value: JWTBundlesRequest) => asBuffer(JWTBundlesRequest.encode(value).finish()),
          requestDeserialize: JWTBundlesRequest.decode,
          responseSerialize: (value: JWTBundlesResponse) =>
            asBuffer(JWTBundlesResponse.encode(value).finish()),
          responseDeserialize: JWTBundlesResponse.decode,
        },
      },
      { FetchJWTSVID: fetchJwtSvid, FetchJWTBundles: fetchJwtBundles },
    );
    rmSync(socket, { force: true });
    await new Promise<void>((resolve, reject) => {
      next.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) =>
        error ? reject(error) : resolve(),
      );
    });
    server = next;
  }

  await start();
  return {
    socket,
    // Libraries of JOSE know the uses sig and enc only.
    jwks: () => ({ keys: key.jwks.keys.map(({ use: _, ...jwk }) => jwk) }),
    fetched,
    get refusedCalls() {
      return refusedCalls;
    },
    get openStreams() {
      return streams.size;
    },
    deny(value) {
      denied = value;
    },
    async rotate() {
      key = await newKey();
      for (const stream of streams) stream.write(bundles());
    },
    async stop() {
      server?.forceShutdown();
      server = undefined;
      streams.clear();
    },
    start,
  };
}
