// Content codings of answers (RFC 9110 section 8.4). None is asked for, yet a provider may use one; what comes out is
// bounded like what comes in.
import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate } from 'node:zlib';
import { invalidResponse } from './errors.ts';

const CODINGS = {
  gzip: promisify(gunzip),
  'x-gzip': promisify(gunzip),
  deflate: promisify(inflate),
  br: promisify(brotliDecompress),
} as const;

/** Rejects with CredentialError source_invalid_response: unknown or several codings, broken data, more than `maxBytes`. */
export async function decompressed(
  bytes: Uint8Array<ArrayBuffer>,
  coding: string | undefined,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const name = coding?.trim().toLowerCase() ?? 'identity';
  if (name === 'identity' || name === '') return bytes;
  if (!Object.hasOwn(CODINGS, name)) {
    throw invalidResponse('the provider compressed its answer in a way other than gzip, deflate and br');
  }
  try {
    return new Uint8Array(await CODINGS[name as keyof typeof CODINGS](bytes, { maxOutputLength: maxBytes }));
  } catch (error) {
    const large = (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE';
    throw invalidResponse(
      large
        ? `the provider's answer is larger than ${maxBytes} bytes after decompression`
        : `the provider's answer is no ${name} data`,
    );
  }
}
