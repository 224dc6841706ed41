// What people and machines read of a running bearerd over HTTP: health, the admin socket and the status page.
import type { Config } from '../config/config.ts';
import type { Clock } from '../lib/clock.ts';
import { createSecretReader } from '../lib/secret-ref.ts';
import { type AdminDeps, createAdminServer, createStatusServer } from '../server/admin.ts';
import { createHealthServer, type HealthDeps, type HttpServer } from '../server/http.ts';
import { withKey } from './listeners.ts';

export interface PagesDeps extends HealthDeps, AdminDeps {
  readonly clock: Clock;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** As bound; undefined where the configuration has none. */
export interface PageAddresses {
  readonly health: string | undefined;
  readonly admin: string | undefined;
  readonly status: string | undefined;
}

export interface Pages {
  start(): Promise<PageAddresses>;
  stop(): Promise<void>;
}

export function createPages(listen: Config['listen'], deps: PagesDeps): Pages {
  const health = listen.health && createHealthServer(listen.health, deps);
  const admin = listen.admin && createAdminServer(listen.admin, deps);
  const status = listen.status && createStatusPage(listen.status, deps);
  return {
    start: async () => ({
      health: health && (await withKey('health', health.start())),
      admin: admin && (await withKey('admin', admin.start())),
      status: status && (await withKey('status', status.start())),
    }),
    async stop() {
      await Promise.all([health, admin, status].map((server) => server?.stop()));
    },
  };
}

function createStatusPage(
  { listener, hosts, tls, token }: NonNullable<Config['listen']['status']>,
  { env, status, observer, clock }: PagesDeps,
): HttpServer {
  return createStatusServer({
    ...{ address: listener, hosts, tls, status, observer, clock },
    token: token && createSecretReader(token, env),
  });
}
