// What a configuration reads that only the sidecar file puts into the pod.
import type { Config } from '../config/config.ts';
import type { SidecarOptions } from '../config/sidecar-file.ts';
import { SECRETS_PATH, TOKEN_PATH } from './sidecar.ts';

/** Files that this configuration reads and no pod with this sidecar has; each with the way out. */
export function mountRefusals(config: Config, { secret, tokenAudience }: SidecarOptions): string[] {
  const read = [...new Set(textsIn(config))];
  const missing = (folder: string, wayOut: string) =>
    read
      .filter((path) => path.startsWith(`${folder}/`))
      .map((path) => `${path} is read, and the sidecar file mounts nothing there: ${wayOut}`);
  return [
    ...(secret === undefined ? missing(SECRETS_PATH, 'secret: NAME, the Secret that has it') : []),
    ...(tokenAudience === undefined ? missing(TOKEN_PATH, 'token_audience: AUDIENCE') : []),
  ];
}

/** Every text of a configuration, whatever setting it is of: files stand in many. */
function textsIn(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsIn) : [];
}
