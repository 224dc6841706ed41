// toxiproxy, a TCP proxy whose faults are set over HTTP.
import { join } from 'node:path';
import { goProgram } from './go.ts';

/** Path of the server, version 2.12.0 as pinned in toxiproxy/go.sum. */
export function toxiproxyBinary(): Promise<string> {
  return goProgram(
    'toxiproxy',
    join(import.meta.dirname, 'toxiproxy'),
    'github.com/Shopify/toxiproxy/v2/cmd/server',
  );
}
