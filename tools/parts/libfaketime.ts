// libfaketime, by which one process sees another wall clock than the machine's.
import { join } from 'node:path';
import { debianPackage } from './debian.ts';

/** Path of the library for LD_PRELOAD, the one for programs with threads. Throws where it cannot be had. */
export async function libfaketime(): Promise<string> {
  return join(await debianPackage('libfaketime'), 'usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1');
}
