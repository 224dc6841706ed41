// A client of the SPIFFE Workload API on go-spiffe, SPIFFE's own library.
import { join } from 'node:path';
import { goProgram } from './go.ts';

/** Path of the binary, go-spiffe 2.9.0 as pinned in go-spiffe/go.sum. */
export function goSpiffeBinary(): Promise<string> {
  return goProgram('go-spiffe', join(import.meta.dirname, 'go-spiffe'), '.');
}
