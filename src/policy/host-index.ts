// Host patterns to path indexes: a Map for exact names, a Map for wildcards walked label by label.
// The cost grows with the labels of the request's host, not with the number of policies (bench: policies_10000_vs_10).
import type { HostPattern } from '../config/config.ts';
import type { Host } from './host.ts';
import { PathIndex, type Ranked } from './path-index.ts';

interface Ports<P extends Ranked> {
  anyPort: PathIndex<P> | undefined;
  readonly byPort: Map<number, PathIndex<P>>;
}

export class HostIndex<P extends Ranked> {
  readonly #exact = new Map<string, Ports<P>>();
  /** Keyed by what follows `*.`. */
  readonly #wildcard = new Map<string, Ports<P>>();
  #everyHost: PathIndex<P> | undefined;

  /** The index of this pattern, made on first use; undefined = every host. */
  at(pattern: HostPattern | undefined): PathIndex<P> {
    if (pattern === undefined) {
      this.#everyHost ??= new PathIndex();
      return this.#everyHost;
    }
    const map = pattern.wildcard ? this.#wildcard : this.#exact;
    let ports = map.get(pattern.name);
    if (!ports) {
      ports = { anyPort: undefined, byPort: new Map() };
      map.set(pattern.name, ports);
    }
    if (pattern.port === undefined) {
      ports.anyPort ??= new PathIndex();
      return ports.anyPort;
    }
    let index = ports.byPort.get(pattern.port);
    if (!index) {
      index = new PathIndex();
      ports.byPort.set(pattern.port, index);
    }
    return index;
  }

  /** Every index that covers this host. */
  covering({ name, port }: Host): readonly PathIndex<P>[] {
    const found: PathIndex<P>[] = this.#everyHost === undefined ? [] : [this.#everyHost];
    collect(this.#exact.get(name), port, found);
    // `*.example.com` covers every depth below example.com, and not example.com itself.
    if (this.#wildcard.size > 0) {
      for (let dot = name.indexOf('.'); dot !== -1; dot = name.indexOf('.', dot + 1)) {
        collect(this.#wildcard.get(name.slice(dot + 1)), port, found);
      }
    }
    return found;
  }
}

function collect<P extends Ranked>(ports: Ports<P> | undefined, port: number, found: PathIndex<P>[]): void {
  if (ports === undefined) return;
  if (ports.anyPort) found.push(ports.anyPort);
  const exact = ports.byPort.get(port);
  if (exact) found.push(exact);
}

/**
 * Whether every host of `asked` is one of the pattern's, ports left aside. `*.example.com` is every name below it, and not
 * example.com itself.
 */
export function coversNames(pattern: HostPattern, asked: Pick<HostPattern, 'name' | 'wildcard'>): boolean {
  if (!pattern.wildcard) return !asked.wildcard && asked.name === pattern.name;
  return asked.name.endsWith(`.${pattern.name}`) || (asked.wildcard && asked.name === pattern.name);
}

/** Whether one pattern covers the host. */
export function coversHost(pattern: HostPattern, { name, port }: Host): boolean {
  if (pattern.port !== undefined && pattern.port !== port) return false;
  return pattern.wildcard ? name.endsWith(`.${pattern.name}`) : name === pattern.name;
}
