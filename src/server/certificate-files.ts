// Certificate and key of a listener: read together, checked, taken over when new ones come, the last good pair kept.
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import type { Clock } from '../lib/clock.ts';
import { fileFault } from '../lib/file-fault.ts';
import { watchFile } from '../lib/watch.ts';
import type { Observer } from '../telemetry/observer.ts';

export interface CertificatePaths {
  /** PEM, the chain with the server's own certificate first. */
  readonly certificate: string;
  readonly privateKey: string;
  /** PEM bundle that client certificates must lead to; undefined = clients need none. */
  readonly clientCa?: string | undefined;
}

export interface CertificateFilesDeps {
  /** Of the listener, for the observer. */
  readonly name: string;
  readonly observer: Observer;
  readonly clock: Clock;
}

export interface CertificateFiles {
  /** The pair as it was read first. */
  readonly context: SecureContextOptions;
  /** Calls `take` with each new good pair. Returns the way to stop. */
  follow(take: (context: SecureContextOptions) => void): () => void;
}

/** Rejects with an Error that names the file to look at. */
export async function readCertificateFiles(
  paths: CertificatePaths,
  { name, observer, clock }: CertificateFilesDeps,
): Promise<CertificateFiles> {
  const first = await readPair(paths, clock);
  observer.certificateLoaded(name, first.notAfter);
  return {
    context: first.context,
    follow(take) {
      let current = first.fingerprint;
      let reloading = Promise.resolve();
      const reload = (): void => {
        reloading = reloading.then(async () => {
          try {
            const next = await readPair(paths, clock);
            if (next.fingerprint === current) return;
            take(next.context);
            current = next.fingerprint;
            observer.certificateLoaded(name, next.notAfter);
          } catch (error) {
            // One file is new and the other not yet, or it is wrong: the last good pair serves on.
            observer.certificateRefused(name, (error as Error).message);
          }
        });
      };
      const stops = listed(paths).map((path) => watchFile(path, clock, reload));
      return () => {
        for (const stop of stops) stop();
      };
    },
  };
}

interface Pair {
  readonly context: SecureContextOptions;
  readonly notAfter: number;
  /** Of all files together. */
  readonly fingerprint: string;
}

const listed = ({ certificate, privateKey, clientCa }: CertificatePaths): string[] =>
  clientCa === undefined ? [certificate, privateKey] : [certificate, privateKey, clientCa];

async function readPair(paths: CertificatePaths, clock: Clock): Promise<Pair> {
  const [cert, key, ca] = await Promise.all(
    listed(paths).map((path) =>
      readFile(path).catch((error: NodeJS.ErrnoException) => {
        throw new Error(`${path} cannot be read: ${fileFault(error)}`);
      }),
    ),
  );
  const context = { cert: cert!, key: key!, ...(ca === undefined ? {} : { ca }) };
  const own = parse(cert!, paths.certificate);
  if (ca !== undefined) parse(ca, paths.clientCa!);
  try {
    createSecureContext(context);
  } catch {
    // The text of the library may quote what it could not read.
    throw new Error(`${paths.privateKey} is not the private key of ${paths.certificate}`);
  }
  const notAfter = own.validToDate.getTime();
  if (notAfter <= clock.now())
    throw new Error(`${paths.certificate} has ended ${own.validToDate.toISOString()}`);
  return { context, notAfter, fingerprint: `${own.fingerprint256}:${ca?.toString('base64') ?? ''}` };
}

function parse(pem: Buffer, path: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch {
    throw new Error(`${path} is not a certificate in PEM`);
  }
}
