// What people and machines read of a running bearerd over HTTP: health, the admin socket and the status page.
import type { Config } from '../config/config.ts';
import type { Clock } from '../lib/clock.ts';
import { createSecretReader } from '../lib/secret-ref.ts';
import { type AdminDeps, createAdminServer, createStatusServer } from '../server/admin.ts';
import { createHealthServer, type HealthDeps, type HttpServer } from '../server/http.ts';

export interface PagesDeps extends HealthDeps, AdminDeps {
  readonly clock: Clock;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** undefined where the configuration has none. */
export interface Pages {
  readonly health: HttpServer | undefined;
  readonly admin: HttpServer | undefined;
  readonly status: HttpServer | undefined;
}

export function createPages({ health, admin, status }: Config['listen'], deps: PagesDeps): Pages {
  return {
    health: health && createHealthServer(health, deps),
    admin: admin && createAdminServer(admin, deps),
    status:
      status &&
      createStatusServer({
        ...{ address: status.listener, hosts: status.hosts, tls: status.tls },
        token: status.token && createSecretReader(status.token, deps.env),
        ...{ status: deps.status, observer: deps.observer, clock: deps.clock },
      }),
  };
}
