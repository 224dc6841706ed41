// Libraries for LD_PRELOAD, by which one process sees another clock or other names than the machine's.
import { join } from 'node:path';
import { debianPackage } from './debian.ts';

/** Another wall clock: the one for programs with threads. Throws where it cannot be had. */
export async function libfaketime(): Promise<string> {
  const folder = await debianPackage('libfaketime');
  return join(folder, 'usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1');
}

/** Names from a hosts file of its own (NSS_WRAPPER_HOSTS). Throws where it cannot be had. */
export async function nssWrapper(): Promise<string> {
  return join(await debianPackage('libnss-wrapper'), 'usr/lib/x86_64-linux-gnu/libnss_wrapper.so');
}
