// Client of the SPIFFE Workload API (SPIFFE_Workload_API.md, JWT-SVID profile) on its Unix socket. The one place
// that knows grpc-js. It reads no token and verifies none.

import type { ChannelOptions } from '@grpc/grpc-js';
import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import {
  JWTBundlesRequest,
  JWTBundlesResponse,
  JWTSVIDRequest,
  JWTSVIDResponse,
} from '../gen/spiffe/workload.ts';
import type { Clock, Timer } from '../lib/clock.ts';
import { toWorkloadApiError } from './errors.ts';

export interface FetchedJwtSvid {
  /** As told beside the SVID. */
  readonly spiffeId: string;
  /** JWS compact serialization. */
  readonly svid: string;
}

/** JWKS documents by the SPIFFE ID of their trust domain. */
export type JwtBundles = ReadonlyMap<string, Uint8Array>;

export interface WorkloadApi {
  /** `spiffeId` '' = every identity of this workload, the default one first. Rejects with CredentialError. */
  fetchJwtSvids(
    audience: readonly string[],
    spiffeId: string,
    signal: AbortSignal,
  ): Promise<readonly FetchedJwtSvid[]>;
  /**
   * Keeps a stream of bundles open and opens it again when it ends. `listener` gets the bundles whenever the API sends
   * them: at first, after each change and after each reconnection. Returns the way to stop.
   */
  followJwtBundles(listener: (bundles: JwtBundles) => void): () => void;
  close(): void;
}

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 30_000;

const OPTIONS: ChannelOptions = {
  'grpc.initial_reconnect_backoff_ms': FIRST_PAUSE_MS,
  'grpc.max_reconnect_backoff_ms': 5_000,
  'grpc.enable_channelz': 0,
  // A socket of this machine: no variable of the environment sends it elsewhere.
  'grpc.enable_http_proxy': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.default_authority': 'localhost',
};

const bytes = (value: Uint8Array): Buffer => Buffer.from(value.buffer, value.byteOffset, value.byteLength);

/** `socket`: its path. Connects on first use. */
export function createWorkloadApi(socket: string, clock: Clock): WorkloadApi {
  const client = new Client(`unix:${socket}`, credentials.createInsecure(), OPTIONS);
  // Section 5: without it the server refuses, so that no page of a browser can ask.
  const metadata = new Metadata();
  metadata.set('workload.spiffe.io', 'true');

  return {
    fetchJwtSvids(audience, spiffeId, signal) {
      return new Promise((resolve, reject) => {
        const call = client.makeUnaryRequest(
          '/SpiffeWorkloadAPI/FetchJWTSVID',
          (request: JWTSVIDRequest) => bytes(JWTSVIDRequest.encode(request).finish()),
          JWTSVIDResponse.decode,
          { audience: [...audience], spiffeId },
          metadata,
          (error: ServiceError | null, response?: JWTSVIDResponse) => {
            signal.removeEventListener('abort', abort);
            if (error !== null) reject(toWorkloadApiError(error));
            else resolve(response?.svids ?? []);
          },
        );
        const abort = (): void => call.cancel();
        if (signal.aborted) abort();
        else signal.addEventListener('abort', abort, { once: true });
      });
    },

    followJwtBundles(listener) {
      let stopped = false;
      let pauseMs = FIRST_PAUSE_MS;
      let timer: Timer | undefined;
      let stop = (): void => {};

      function open(): void {
        const stream = client.makeServerStreamRequest(
          '/SpiffeWorkloadAPI/FetchJWTBundles',
          (request: JWTBundlesRequest) => bytes(JWTBundlesRequest.encode(request).finish()),
          JWTBundlesResponse.decode,
          {},
          metadata,
        );
        stop = () => stream.cancel();
        let ended = false;
        const again = (): void => {
          if (ended || stopped) return;
          ended = true;
          // Without jitter: few workloads share a socket.
          timer = clock.setTimer(open, pauseMs);
          pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 2);
        };
        stream.on('data', ({ bundles }: JWTBundlesResponse) => {
          if (stopped) return;
          pauseMs = FIRST_PAUSE_MS;
          listener(bundles);
        });
        stream.on('error', again);
        stream.on('end', again);
      }

      open();
      return () => {
        stopped = true;
        timer?.cancel();
        stop();
      };
    },

    close: () => client.close(),
  };
}
