// The leak guard at load: a source that names its hosts serves no policy for any other, itself or as a fallback.
import { coversNames } from '../policy/host-index.ts';
import type { HostPattern } from './host-pattern.ts';
import type { Report } from './problems.ts';
import type { ConfigFile } from './schema.ts';

export function boundHostProblems({ sources, outbound }: ConfigFile, report: Report): void {
  outbound.forEach(({ match, inject }, i) => {
    if (inject === undefined) return;
    const own = Object.hasOwn(sources, inject.source) ? inject.source : undefined;
    const fallback = own === undefined ? undefined : sources[own]!.fallback;
    for (const name of new Set([own, fallback])) {
      if (name === undefined || !Object.hasOwn(sources, name)) continue;
      const { hosts } = sources[name]!;
      const beyond = hosts && match.hosts.find((asked) => !hosts.some((bound) => isWithin(asked, bound)));
      if (beyond === undefined) continue;
      report(
        ['outbound', i, 'match'],
        `${textOf(beyond)} is none of the hosts that sources.${name}.hosts binds its credential to: ${hosts!.map(textOf).join(', ')}`,
      );
    }
  });
}

/** Whether every host of `asked` is one of `bound`. */
export function isWithin(asked: HostPattern, bound: HostPattern): boolean {
  return (bound.port === undefined || bound.port === asked.port) && coversNames(bound, asked);
}

function textOf({ name, wildcard, port }: HostPattern): string {
  return `${wildcard ? '*.' : ''}${name}${port === undefined ? '' : `:${port}`}`;
}
