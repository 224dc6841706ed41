// The file that says how the sidecar is put into pods: of `bearerd webhook` and `bearerd generate kubernetes`.
import * as z from 'zod';
import { ConfigError } from '../lib/errors.ts';
import { readConfigText } from './load.ts';
import { shapeProblems } from './problems.ts';
import { parseYaml } from './yaml-document.ts';

export interface SidecarOptions {
  /** With its tag. */
  readonly image: string;
  /** By which it is pulled: Secrets of the pod's own namespace. */
  readonly imagePullSecrets: readonly { readonly name: string }[];
  /** ConfigMap whose keys are the files of a configuration. */
  readonly configMap: string;
  /** Secret whose keys become files below /var/run/secrets/bearerd; undefined = none. */
  readonly secret: string | undefined;
  /** Audience of the projected service account token; undefined = no such token. */
  readonly tokenAudience: string | undefined;
  /** User to run as. Never 0, and never 1337: that is Envoy's. */
  readonly runAsUser: number;
  /** Of listen.status, past Istio's Envoy; undefined = looked at from inside the pod only. */
  readonly statusPort: number | undefined;
  readonly resources: {
    readonly requests: Readonly<Record<string, string>>;
    readonly limits: Readonly<Record<string, string>>;
  };
}

/**
 * Measured: 80 MB idle, 120 MB under load; a tenth of a core serves 1,000 Checks/s with much room (bench/README.md). No limit
 * of CPU: what is throttled is the latency of every request.
 */
const DEFAULT_RESOURCES: SidecarOptions['resources'] = {
  requests: { cpu: '10m', memory: '96Mi' },
  limits: { memory: '256Mi' },
};

/** A name of Kubernetes (RFC 1123 subdomain). */
const name = z.string().regex(/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/, {
  error: 'expected a name of Kubernetes: lower-case letters, digits, "-" and "."',
});
const quantity = z.string().regex(/^\d+(\.\d+)?(m|k|Ki|M|Mi|G|Gi)?$/, {
  error: 'expected a quantity such as 100m or 96Mi',
});
const quantities = z.record(z.enum(['cpu', 'memory', 'ephemeral-storage']), quantity.optional());

export const sidecarFile = z
  .strictObject({
    image: z.string().min(1).describe('Image with its tag. Required.'),
    image_pull_secrets: z
      .array(z.strictObject({ name }))
      .default([])
      .describe(
        'Secrets by which the image is pulled, each { name }, in the namespace of the pod. Default: none.',
      ),
    config_map: name
      .default('bearerd')
      .describe('ConfigMap whose keys are the files of the configuration. Default bearerd.'),
    secret: name
      .optional()
      .describe('Secret whose keys become files below /var/run/secrets/bearerd. Default: none.'),
    token_audience: z
      .string()
      .min(1)
      .optional()
      .describe(
        'Audience of a projected service account token at /var/run/secrets/tokens/token. Default: none.',
      ),
    run_as_user: z
      .int()
      .min(1)
      .refine((uid) => uid !== 1337, { error: '1337 is the user of istio-proxy: take another' })
      .default(65_532)
      .describe('User to run as. Default 65532.'),
    status_port: z
      .int()
      .min(1)
      .max(65_535)
      .optional()
      .describe('Port of listen.status, reached from outside the pod. Default: none.'),
    resources: z
      .strictObject({ requests: quantities.optional(), limits: quantities.optional() })
      .optional()
      .describe('Requests and limits. Default: 10m CPU and 96Mi memory, at most 256Mi memory.'),
  })
  .meta({ title: 'bearerd sidecar', description: 'How bearerd is put into pods.' });

/** Throws ConfigError with every problem, also when the file cannot be read. */
export async function loadSidecarFile(path: string): Promise<SidecarOptions> {
  return parseSidecarFile(await readConfigText(path), path);
}

/** Throws ConfigError with every problem. */
export function parseSidecarFile(text: string, path: string): SidecarOptions {
  const document = parseYaml(text, path);
  const result = sidecarFile.safeParse(document.value);
  if (!result.success) {
    throw new ConfigError(path, shapeProblems(document, result.error.issues, sidecarFile));
  }
  return toSidecarOptions(result.data);
}

function toSidecarOptions(file: z.output<typeof sidecarFile>): SidecarOptions {
  const given = (quantities: Readonly<Record<string, string | undefined>>): Record<string, string> =>
    Object.fromEntries(
      Object.entries(quantities).filter((entry): entry is [string, string] => entry[1] !== undefined),
    );
  return {
    image: file.image,
    imagePullSecrets: file.image_pull_secrets,
    configMap: file.config_map,
    secret: file.secret,
    tokenAudience: file.token_audience,
    runAsUser: file.run_as_user,
    statusPort: file.status_port,
    resources: {
      requests: given(file.resources?.requests ?? DEFAULT_RESOURCES.requests),
      limits: given(file.resources?.limits ?? DEFAULT_RESOURCES.limits),
    },
  };
}
