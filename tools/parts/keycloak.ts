// Keycloak from Maven Central, unpacked and built for the features that the tests need. Only pins and where it lies.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { cached } from './cache.ts';

const run = promisify(execFile);

export const KEYCLOAK_VERSION = '26.7.3';
const ARTIFACT = `org.keycloak:keycloak-quarkus-dist:${KEYCLOAK_VERSION}:tar.gz`;
const SHA256 = '77657f30b7e90d70f727712ce1c967f430fd6a5e9f458d32d8c6df0635345f47';
const PLUGIN = 'org.apache.maven.plugins:maven-dependency-plugin:3.6.1';

/**
 * Beside what is on by default (dpop, token-exchange-standard). jwt-authorization-grant: RFC 7523 grant. The others let
 * assertions of Kubernetes and SPIFFE authenticate a client.
 */
export const KEYCLOAK_FEATURES = [
  'jwt-authorization-grant',
  'client-auth-federated',
  'kubernetes-service-accounts',
  'spiffe',
] as const;

const BUILD = [
  'build',
  '--db=dev-mem',
  `--features=${KEYCLOAK_FEATURES.join(',')}`,
  '--https-client-auth=request',
];

/** Why it cannot be had here; undefined = it can. */
export async function keycloakMissing(): Promise<string | undefined> {
  for (const [command, argument] of [
    ['java', '-version'],
    ['mvn', '--version'],
  ] as const) {
    const found = await run(command, [argument], { timeout: 60_000 }).then(
      () => true,
      () => false,
    );
    if (!found) return `${command} is not installed (Debian: apt-get install default-jre-headless maven)`;
  }
  return undefined;
}

/**
 * Folder of a Keycloak that starts with `start --optimized` (test/support/keycloak.ts), fetched (176 MB) and built into the user's cache on
 * first use. The build takes about a minute once, which each start would otherwise take.
 */
export function keycloakFolder(): Promise<string> {
  const hash = createHash('sha256').update(BUILD.join(' ')).digest('hex').slice(0, 8);
  return cached(`keycloak-${KEYCLOAK_VERSION}-${hash}`, async (folder) => {
    const archive = join(folder, 'keycloak.tar.gz');
    await command('mvn', [
      ...['--batch-mode', '--quiet', `${PLUGIN}:copy`, `-Dartifact=${ARTIFACT}`],
      ...[`-DoutputDirectory=${folder}`, '-Dmdep.stripVersion=true', '-Dmdep.useBaseVersion=true'],
    ]);
    await command('mv', [join(folder, 'keycloak-quarkus-dist.tar.gz'), archive]);
    const sum = createHash('sha256');
    await pipeline(createReadStream(archive), sum);
    if (sum.digest('hex') !== SHA256) throw new Error(`Keycloak ${KEYCLOAK_VERSION}: wrong checksum`);
    await command('tar', ['-xzf', archive, '-C', folder, '--strip-components=1']);
    await rm(archive);
    await command(join(folder, 'bin/kc.sh'), BUILD);
  });
}

async function command(name: string, args: readonly string[]): Promise<void> {
  try {
    await run(name, args, { timeout: 280_000, maxBuffer: 4 << 20 });
  } catch (error) {
    const { stderr, stdout, message } = error as Error & { stderr?: string; stdout?: string };
    const said = `${stdout ?? ''}\n${stderr ?? ''}`.trim().split('\n').slice(-5).join(' ');
    throw new Error(`Keycloak ${KEYCLOAK_VERSION}, ${name} ${args[0]}: ${said || message}`);
  }
}
