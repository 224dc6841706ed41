// The policies of one host pattern, found by path and method in time that grows with the request's segments only.
// Lowest position in the file wins among exact and prefix rules; regular expressions are tried after all of them.
import { RE2JS } from 're2js';
import type { PathRule } from '../config/config.ts';

/** What is matched has a position in the file; the lower one wins. */
export interface Ranked {
  readonly index: number;
}

export interface PathMatch {
  /** Upper case; undefined = every method. */
  readonly methods: readonly string[] | undefined;
  /** undefined = every path. */
  readonly paths: readonly PathRule[] | undefined;
}

interface Rule<P extends Ranked> {
  readonly policy: P;
  /** undefined = every method. */
  readonly methods: ReadonlySet<string> | undefined;
}

interface RegexRule<P extends Ranked> extends Rule<P> {
  readonly regex: RE2JS;
}

export class PathIndex<P extends Ranked> {
  /** Each list in file order. */
  readonly #everyPath: Rule<P>[] = [];
  readonly #exact = new Map<string, Rule<P>[]>();
  /** Keyed without the trailing slash. */
  readonly #prefix = new Map<string, Rule<P>[]>();
  readonly #regexes: RegexRule<P>[] = [];
  #firstPathRule = Number.POSITIVE_INFINITY;

  add(policy: P, match: PathMatch): void {
    const methods = match.methods === undefined ? undefined : new Set(match.methods);
    const rule: Rule<P> = { policy, methods };
    if (match.paths === undefined) {
      this.#everyPath.push(rule);
      return;
    }
    this.#firstPathRule = Math.min(this.#firstPathRule, policy.index);
    for (const path of match.paths) {
      if (path.kind === 'exact') append(this.#exact, path.value, rule);
      // `/v1` and `/v1/` mean the same: `/v1` itself and everything below it, never `/v10`.
      else if (path.kind === 'prefix') append(this.#prefix, path.value.replace(/\/$/, ''), rule);
      else this.#regexes.push({ ...rule, regex: RE2JS.compile(path.value) });
    }
  }

  /** First rule by position. `path` has no query. */
  find(path: string, method: string): P | undefined {
    let best = first(this.#everyPath, method, undefined);
    if (this.#exact.size > 0) best = first(this.#exact.get(path), method, best);
    if (this.#prefix.size > 0) {
      best = first(this.#prefix.get(''), method, best);
      for (let end = path.indexOf('/', 1); end !== -1; end = path.indexOf('/', end + 1)) {
        best = first(this.#prefix.get(path.slice(0, end)), method, best);
      }
      if (path !== '/') best = first(this.#prefix.get(path), method, best);
    }
    return best;
  }

  /** First regular expression that matches the whole path. Linear in the path's length (RE2). */
  findByRegex(path: string, method: string): P | undefined {
    for (const { policy, methods, regex } of this.#regexes) {
      if ((methods === undefined || methods.has(method)) && regex.matches(path)) return policy;
    }
    return undefined;
  }

  /** First policy that covers every path, for what is matched without looking at the path. */
  findForEveryPath(method: string): P | undefined {
    return first(this.#everyPath, method, undefined);
  }

  /** The policy of every request here, whatever its path and method; undefined = it depends on them. */
  get only(): P | undefined {
    if (this.#firstPathRule !== Number.POSITIVE_INFINITY) return undefined;
    const [rule] = this.#everyPath;
    return rule?.methods === undefined ? rule?.policy : undefined;
  }

  /** Position of the first policy with path rules here; Infinity without one. */
  get firstPathRule(): number {
    return this.#firstPathRule;
  }
}

function append<P extends Ranked>(map: Map<string, Rule<P>[]>, key: string, rule: Rule<P>): void {
  const list = map.get(key);
  if (list) list.push(rule);
  else map.set(key, [rule]);
}

/** The earlier of `best` and the first rule of the list for this method. */
function first<P extends Ranked>(
  list: readonly Rule<P>[] | undefined,
  method: string,
  best: P | undefined,
): P | undefined {
  if (list === undefined) return best;
  for (const { policy, methods } of list) {
    if (best !== undefined && policy.index > best.index) return best;
    if (methods === undefined || methods.has(method)) return policy;
  }
  return best;
}
