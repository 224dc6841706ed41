// h2spec, the conformance tests of HTTP/2 and HPACK for servers.
import { join } from 'node:path';
import { goProgram } from './go.ts';

/** Path of the binary, version 2.2.1 as pinned in h2spec/go.sum. */
export function h2specBinary(): Promise<string> {
  return goProgram('h2spec', join(import.meta.dirname, 'h2spec'), 'github.com/summerwind/h2spec/cmd/h2spec');
}
