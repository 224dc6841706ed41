// What is told of a configuration once it is in force: who owns what, and secrets that two environments share.
import type { Config } from '../config/config.ts';
import { findSharedSecrets } from '../source/shared-secrets.ts';
import type { Observer } from '../telemetry/observer.ts';

type Owned = { readonly name: string; readonly owner?: string | undefined };

export function announce(
  { sources, outbound }: Config,
  observer: Observer,
  env: Readonly<Record<string, string | undefined>>,
): void {
  observer.ownersNamed(ownersOf(sources), ownersOf(outbound));
  void findSharedSecrets(sources, env).then((pairs) => {
    for (const [source, other] of pairs) observer.secretShared(source, other);
  });
}

function ownersOf(all: readonly Owned[]): ReadonlyMap<string, string> {
  return new Map(all.flatMap(({ name, owner }) => (owner === undefined ? [] : [[name, owner] as const])));
}
