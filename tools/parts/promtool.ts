// promtool, which checks and tests rules as Prometheus reads them.
import { join } from 'node:path';
import { debianPackage } from './debian.ts';

/** Path of the program. Throws where it cannot be had. */
export async function promtool(): Promise<string> {
  return join(await debianPackage('prometheus'), 'usr/bin/promtool');
}
