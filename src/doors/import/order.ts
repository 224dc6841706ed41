// Which of several injectors has the last word about a request in Envoy, where here the first policy has it. Pure.
import type { FoundInjector } from './credential-injector.ts';
import { takes } from './virtual-hosts.ts';

/**
 * The first match wins here. In Envoy the last one did that overwrites, and injectors of clusters come behind those of
 * listeners; of two with different headers both did, and the hosts of a cluster are fewer.
 */
export function inOrder(injectors: readonly FoundInjector[]): readonly FoundInjector[] {
  const ordered: FoundInjector[] = [];
  for (const found of overruled(asEnvoyRuns(injectors))) {
    const at = ordered.findIndex((other) => isBefore(found, other) && haveHostInCommon(found, other));
    ordered.splice(at === -1 ? ordered.length : at, 0, found);
  }
  return ordered;
}

/** The filters of a listener before those of clusters. */
function asEnvoyRuns(injectors: readonly FoundInjector[]): readonly FoundInjector[] {
  return injectors.toSorted((a, b) => Number(a.isOfCluster) - Number(b.isOfCluster));
}

/** Whether `later` has to come before `earlier`, behind which Envoy asks it. One in shadow takes nothing from another. */
function isBefore(later: FoundInjector, earlier: FoundInjector): boolean {
  if (later.isPartial !== earlier.isPartial) return earlier.isPartial;
  // No request goes through two listeners, nor through two clusters.
  if (later.isOfCluster === earlier.isOfCluster && later.where !== earlier.where) return false;
  return headerOf(later) === headerOf(earlier) ? later.overwrites : later.isOfCluster && !earlier.isOfCluster;
}

function headerOf({ credential }: FoundInjector): string {
  return credential.kind === 'generic' ? credential.header : 'authorization';
}

/** Those that another, which acts on some requests only, has the last word about are themselves for some only. */
function overruled(asRun: readonly FoundInjector[]): readonly FoundInjector[] {
  return asRun.map((found, place) => {
    if (found.isPartial) return found;
    const by = asRun.find(
      (other, i) =>
        other.isPartial &&
        headerOf(other) === headerOf(found) &&
        (place < i ? other.overwrites : !found.overwrites) &&
        haveDomainInCommon(other, found),
    );
    if (by === undefined) return found;
    const remark = `${by.where} has the last word about ${headerOf(found)} on some of its requests: say on which by match.paths and match.methods`;
    return { ...found, isPartial: true, remarks: [...found.remarks, remark] };
  });
}

/** What is not known may be anything. */
function haveHostInCommon(a: FoundInjector, b: FoundInjector): boolean {
  return [a, b].some(({ hosts }) => hosts.length === 0 || hosts.includes('*')) || haveDomainInCommon(a, b);
}

function haveDomainInCommon(a: FoundInjector, b: FoundInjector): boolean {
  return a.hosts.some((one) => one !== '*' && b.hosts.some((two) => takes(one, two) ?? takes(two, one)));
}
