// What TLS to a provider needs from files: a private CA, a client certificate (RFC 8705). Read anew for each call, so that
// a rotated file counts at once.
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { secretUnreadable } from '../lib/errors.ts';
import { fileFault } from '../lib/file-fault.ts';

export interface ClientCertificateFiles {
  /** PEM: the certificate, then those of intermediate authorities. */
  readonly certificate: string;
  /** PEM, not encrypted. */
  readonly privateKey: string;
}

export interface TlsFiles {
  /** PEM bundle. */
  readonly caFile: string | undefined;
  readonly clientCertificate?: ClientCertificateFiles | undefined;
}

/** As undici and node:tls take it. */
export interface TlsMaterial {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** Rejects with CredentialError secret_unreadable. A pair of which one half is old is refused until the other came. */
export async function readTls({ caFile, clientCertificate }: TlsFiles): Promise<TlsMaterial> {
  const ca = caFile === undefined ? {} : { ca: await read('ca_file', caFile) };
  // Node takes anything for a list of authorities, and then knows none.
  if (ca.ca !== undefined && !/-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----/.test(ca.ca))
    throw secretUnreadable(`ca_file ${caFile} has no certificate in PEM`);
  if (clientCertificate === undefined) return ca;
  const { certificate, privateKey } = clientCertificate;
  const [cert, key] = await Promise.all([
    read('client_certificate', certificate),
    read('client_certificate', privateKey),
  ]);
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why =
      code === 'ERR_OSSL_X509_KEY_VALUES_MISMATCH'
        ? 'the key is not the one of the certificate'
        : `certificate or key cannot be used (${code ?? 'unknown fault'})`;
    throw secretUnreadable(`client_certificate ${certificate}, ${privateKey}: ${why}`);
  }
  return { ...ca, cert, key };
}

async function read(setting: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw secretUnreadable(`${setting} ${path} cannot be read: ${fileFault(error)}`);
  }
}
