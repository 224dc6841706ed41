// What must not cross: fallbacks to what gives less sure credentials, and sources of one environment in another.
import type { Report } from './problems.ts';
import type { ConfigFile } from './schema.ts';

type FileSource = ConfigFile['sources'][string];

export function fallbackProblems({ sources }: ConfigFile, report: Report): void {
  for (const [name, source] of Object.entries(sources)) {
    if (source.fallback === undefined) continue;
    const path = ['sources', name, 'fallback'];
    const other = Object.hasOwn(sources, source.fallback) ? sources[source.fallback] : undefined;
    if (other === undefined) continue;
    if (other === source) report(path, 'a source is no fallback of itself');
    else if (other.fallback !== undefined) {
      report(path, `${source.fallback} has a fallback of its own; there is one step only`);
    } else if (subjectText(source) !== subjectText(other)) {
      report(
        path,
        `${name} and ${source.fallback} do not give credentials for the same subjects: both from the same headers of the request, or neither`,
      );
    }
  }
}

function subjectText({ token_exchange: exchange }: FileSource): string {
  return JSON.stringify([exchange?.subject_token.header, exchange?.actor_token?.header]);
}

export function environmentProblems({ sources, outbound }: ConfigFile, report: Report): void {
  const environmentOf = (name: string) =>
    Object.hasOwn(sources, name) ? sources[name]!.environment : undefined;
  const crossing = (from: string | undefined, name: string): string | undefined => {
    const to = environmentOf(name);
    if (from === undefined || to === undefined || from === to) return undefined;
    return `the source ${name} is of the environment ${to}, this is of ${from}`;
  };
  for (const [name, source] of Object.entries(sources)) {
    if (source.fallback === undefined) continue;
    const problem = crossing(source.environment, source.fallback);
    if (problem !== undefined) report(['sources', name, 'fallback'], problem);
  }
  outbound.forEach(({ environment, inject }, i) => {
    const problem = inject && crossing(environment, inject.source);
    if (problem !== undefined) report(['outbound', i, 'inject', 'source'], problem);
  });
}
