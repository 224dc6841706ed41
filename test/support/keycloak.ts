// A real Keycloak over TLS, with the realm of test/fixtures/keycloak-realm.json. Keys are made anew and put into it.
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Authority } from '../../demo/certificates.ts';
import { keycloakFolder } from '../../tools/parts/keycloak.ts';
import { freePort } from './ports.ts';
import { startProcess } from './process.ts';

export interface Keycloak {
  readonly issuer: string;
  readonly tokenEndpoint: string;
  /** Milliseconds until it listened. */
  readonly startMs: number;
  output(): string;
  stop(): Promise<void>;
}

export interface KeycloakOptions {
  /** Its server certificate is by this authority, and so are those of clients. */
  readonly authority: Authority;
  /** PEM files of other authorities whose servers it asks. */
  readonly trusted?: readonly string[];
  /** Attributes of clients by clientId, e.g. `{ key: { 'jwks.string': … } }`. */
  readonly clients?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** `config` of identity providers by alias; only these are in the realm. */
  readonly identityProviders?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

interface Realm {
  readonly clients: readonly { readonly clientId: string; readonly attributes: Record<string, string> }[];
  identityProviders: readonly { readonly alias: string; readonly config: Record<string, string> }[];
  readonly users: readonly {
    federatedIdentities?: readonly { readonly identityProvider: string }[] | undefined;
  }[];
}

/** On a busy machine; 14 s is usual. */
const START_LIMIT_MS = 180_000;

export async function startKeycloak(options: KeycloakOptions): Promise<Keycloak> {
  const { authority, trusted = [], clients = {}, identityProviders = {} } = options;
  const [installed, certificate, port, home] = await Promise.all([
    keycloakFolder(),
    authority.issue('localhost', 'server'),
    freePort(),
    mkdtemp(join(tmpdir(), 'bearerd-keycloak-')),
  ]);
  // It writes below its home; what it only reads is shared.
  for (const name of ['conf', 'lib', 'providers', 'themes', 'version.txt']) {
    await symlink(join(installed, name), join(home, name));
  }
  const realm: Realm = JSON.parse(
    await readFile(join(import.meta.dirname, '../fixtures/keycloak-realm.json'), 'utf8'),
  );
  for (const { clientId, attributes } of realm.clients) Object.assign(attributes ?? {}, clients[clientId]);
  const isThere = (alias: string) => Object.hasOwn(identityProviders, alias);
  realm.identityProviders = realm.identityProviders.filter(({ alias }) => isThere(alias));
  for (const { alias, config } of realm.identityProviders) Object.assign(config, identityProviders[alias]);
  for (const user of realm.users) {
    user.federatedIdentities = user.federatedIdentities?.filter((link) => isThere(link.identityProvider));
  }
  await mkdir(join(home, 'data/import'), { recursive: true });
  await writeFile(join(home, 'data/import/bearerd-realm.json'), JSON.stringify(realm));

  const startedAt = performance.now();
  // Without kc.sh, which keeps Java as a child of its own: killed, it would leave it behind.
  const keycloak = await startProcess(
    'java',
    [
      ...['-Xms64m', '-Xmx512m', `-Dkc.home.dir=${home}`, `-Djboss.server.config.dir=${home}/conf`],
      ...['-Djava.util.logging.manager=org.jboss.logmanager.LogManager', '-Dpicocli.disable.closures=true'],
      ...['util', 'util.concurrent', 'security', 'lang'].map(
        (name) => `--add-opens=java.base/java.${name}=ALL-UNNAMED`,
      ),
      ...['-cp', join(home, 'lib/quarkus-run.jar'), 'io.quarkus.bootstrap.runner.QuarkusEntryPoint'],
      ...['start', '--optimized', '--import-realm', '--cache=local', '--hostname-strict=false'],
      ...['--http-host=127.0.0.1', `--https-port=${port}`],
      `--truststore-paths=${[authority.ca, ...trusted].join(',')}`,
      ...[`--https-certificate-file=${certificate.cert}`, `--https-certificate-key-file=${certificate.key}`],
    ],
    { name: 'keycloak' },
  );
  const stop = async () => {
    // It may take a while on a busy machine.
    await keycloak.stop(20_000);
    await rm(home, { recursive: true, force: true });
  };
  try {
    await keycloak.waitForOutput(/Listening on: https:/, START_LIMIT_MS);
  } catch (error) {
    await stop();
    throw error;
  }
  const issuer = `https://localhost:${port}/realms/bearerd`;
  const tokenEndpoint = `${issuer}/protocol/openid-connect/token`;
  // Its first answer takes seconds, which are no part of any test.
  await warmUp(tokenEndpoint, await readFile(authority.ca));
  return {
    issuer,
    tokenEndpoint,
    startMs: performance.now() - startedAt,
    output: keycloak.output,
    stop,
  };
}

function warmUp(tokenEndpoint: string, ca: Buffer): Promise<void> {
  const body = 'grant_type=client_credentials&client_id=secret&client_secret=wrong';
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const outgoing = request(tokenEndpoint, { method: 'POST', ca, headers }, (incoming) => {
      incoming.resume();
      incoming.on('end', resolve);
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
