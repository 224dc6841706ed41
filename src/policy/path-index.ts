// The policies of one host pattern, found by path and method in time that grows with the request's segments only.
// Lowest position in the file wins among exact and prefix rules; regular expressions are tried after all of them.
import { RE2JS } from 're2js';
import type { OutboundConfig } from '../config/config.ts';
import type { Policy } from './policy.ts';

interface Rule {
  readonly policy: Policy;
  /** undefined = every method. */
  readonly methods: ReadonlySet<string> | undefined;
}

interface RegexRule extends Rule {
  readonly regex: RE2JS;
}

export class PathIndex {
  /** Each list in file order. */
  readonly #everyPath: Rule[] = [];
  readonly #exact = new Map<string, Rule[]>();
  /** Keyed without the trailing slash. */
  readonly #prefix = new Map<string, Rule[]>();
  readonly #regexes: RegexRule[] = [];
  #firstPathRule = Number.POSITIVE_INFINITY;

  add(policy: Policy, match: OutboundConfig['match']): void {
    const methods = match.methods === undefined ? undefined : new Set(match.methods);
    const rule: Rule = { policy, methods };
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
  find(path: string, method: string): Policy | undefined {
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
  findByRegex(path: string, method: string): Policy | undefined {
    for (const { policy, methods, regex } of this.#regexes) {
      if ((methods === undefined || methods.has(method)) && regex.matches(path)) return policy;
    }
    return undefined;
  }

  /** First policy that covers every path, for what is matched without looking at the path. */
  findForEveryPath(method: string): Policy | undefined {
    return first(this.#everyPath, method, undefined);
  }

  /** The policy of every request here, whatever its path and method; undefined = it depends on them. */
  get only(): Policy | undefined {
    if (this.#firstPathRule !== Number.POSITIVE_INFINITY) return undefined;
    const [rule] = this.#everyPath;
    return rule?.methods === undefined ? rule?.policy : undefined;
  }

  /** Position of the first policy with path rules here; Infinity without one. */
  get firstPathRule(): number {
    return this.#firstPathRule;
  }
}

function append(map: Map<string, Rule[]>, key: string, rule: Rule): void {
  const list = map.get(key);
  if (list) list.push(rule);
  else map.set(key, [rule]);
}

/** The earlier of `best` and the first rule of the list for this method. */
function first(
  list: readonly Rule[] | undefined,
  method: string,
  best: Policy | undefined,
): Policy | undefined {
  if (list === undefined) return best;
  for (const { policy, methods } of list) {
    if (best !== undefined && policy.index > best.index) return best;
    if (methods === undefined || methods.has(method)) return policy;
  }
  return best;
}
