// Roles and their permissions. A right that is taken away counts for the next request, also of a token that is cached:
// nothing of this is kept with a token.
import type { Clock } from '../lib/clock.ts';
import type { Observer } from '../telemetry/observer.ts';
import type { Followed } from './followed.ts';
import { createFollowedFile } from './followed-file.ts';
import { parseYamlText } from './yaml-text.ts';

type Table = Readonly<Record<string, readonly string[]>>;

export class Roles {
  #permissions = new Map<string, ReadonlySet<string>>();

  replace(...tables: readonly Table[]): void {
    const next = new Map<string, Set<string>>();
    for (const [role, permissions] of tables.flatMap((table) => Object.entries(table))) {
      next.set(role, new Set([...(next.get(role) ?? []), ...permissions]));
    }
    this.#permissions = next;
  }

  permit(roles: readonly string[], permission: string): boolean {
    return roles.some((role) => this.#permissions.get(role)?.has(permission) ?? false);
  }
}

export interface RolesFileDeps {
  readonly path: string;
  /** Of the configuration itself. */
  readonly fixed: Table;
  readonly roles: Roles;
  readonly clock: Clock;
  readonly observer: Observer;
}

export function createRolesFile({ path, fixed, roles, clock, observer }: RolesFileDeps): Followed {
  return createFollowedFile({
    path,
    name: 'roles',
    take(text) {
      const table = parseTable(text);
      roles.replace(fixed, table);
      return Object.keys(table).length;
    },
    clock,
    observer,
  });
}

function parseTable(text: string): Table {
  const value = parseYamlText(text);
  const isTable =
    typeof value === 'object' &&
    value !== null &&
    Object.values(value).every(
      (list) => Array.isArray(list) && list.every((item) => typeof item === 'string'),
    );
  if (!isTable) throw new Error('expected ROLE: [PERMISSION, ...]');
  return value as Table;
}
