// A bundle as `policy_bundle` pins it: by whose keys, for whom, from where. A process follows it (policy-bundle.ts), a verb
// looks once.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PolicyBundleConfig } from '../config/config.ts';
import { toTransportError } from '../provider-http/errors.ts';
import { createProviderHttp, type HttpDeps } from '../provider-http/http.ts';
import { BundleFault, parsePinnedKeys, type VerifiedBundle, verifyBundle } from './signed-bundle.ts';

/** Its keys are read anew each time. Its time is not checked (timeProblem). Throws BundleFault. */
export async function verifyPinned(
  jws: string,
  { keys, name }: Pick<PolicyBundleConfig, 'keys' | 'name'>,
): Promise<VerifiedBundle> {
  const text = await readFile(keys, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new BundleFault(`keys: ${keys} cannot be read: ${error.code}`);
  });
  return verifyBundle(jws, parsePinnedKeys(text), name);
}

/** Asks the server once, with the bounds of a process that follows it. Rejects with BundleFault. */
export async function fetchBundle(
  { url, caFile }: Pick<PolicyBundleConfig, 'url' | 'caFile'>,
  deps: Pick<HttpDeps, 'env' | 'now'>,
): Promise<string> {
  const http = createProviderHttp({ ...deps, caFile });
  try {
    const answer = await http.fetch(url, { method: 'GET', headers: {} });
    if (answer.status !== 200) throw new BundleFault(`the server answered ${answer.status}`);
    return await answer.text();
  } catch (error) {
    throw error instanceof BundleFault ? error : new BundleFault(toTransportError(error, 'bundle').message);
  } finally {
    await http.close();
  }
}

/** Where a process keeps the last good one. */
export function keptBundle(stateDir: string): string {
  return join(stateDir, 'policy-bundle.jws');
}
