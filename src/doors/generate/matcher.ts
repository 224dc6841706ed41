// The push door's rules inside Envoy: match_delegate around the injector, which is skipped unless host, method and path
// are the policy's (M13). A request that is routed here by mistake so leaves without a credential.
import type { OutboundConfig, PathRule } from '../../config/config.ts';
import { because } from '../../lib/commented-yaml.ts';
import {
  AMBIGUOUS_PATH,
  type Authority,
  authorityExpression,
  mayReachQuery,
  PLAIN_PATH,
  plainAuthorities,
  withoutSlash,
} from './expressions.ts';

/** undefined = each. */
export interface RequestRules {
  readonly hosts: readonly Authority[] | undefined;
  readonly methods: readonly string[] | undefined;
  readonly paths: readonly PathRule[] | undefined;
}

export interface InjectionRules extends RequestRules {
  readonly refuseAmbiguousPath: boolean;
  /** Of other policies, of which no request may come here. Each has some rule. */
  readonly except: readonly RequestRules[];
  /** Only where the mark of the policy's share stands. */
  readonly inShare: boolean;
}

/** Of the upstream chain alone: removed before and after the injector, so an app forges none and no upstream sees it. */
export const SHARE_MARK = 'x-bearerd-share';

/** Whether a policy is in force in some of the pods only. */
export function isShared({ rollout }: OutboundConfig): boolean {
  return rollout.mode === 'enforce' && rollout.percent !== undefined;
}

export interface Filter {
  readonly name: string;
  readonly typed_config: unknown;
}

/** `filter` applies to requests that fulfil the rules and to no other. */
export function onlyWhen(rules: InjectionRules, filter: Filter, name = 'bearerd.inject'): object {
  const wanted = predicates(rules);
  if (wanted.length === 0) return { ...filter, name };
  const predicate = because(
    'Skipped unless all of these hold: a header that is missing can so never lead to an injection.',
    { not_matcher: all(wanted) },
  );
  return skippedWhen(predicate, filter, name);
}

/** `filter` applies to requests for any other host than these. */
export function unlessHost(endpoints: readonly Authority[], filter: Filter, name: string): object {
  return skippedWhen(any(endpoints.flatMap(authorityPredicates)), filter, name);
}

function skippedWhen(predicate: unknown, filter: Filter, name: string): object {
  return {
    name,
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.common.matching.v3.ExtensionWithMatcher',
      xds_matcher: {
        matcher_list: {
          matchers: [
            {
              predicate,
              on_match: {
                action: {
                  name: 'skip',
                  typed_config: {
                    '@type':
                      'type.googleapis.com/envoy.extensions.filters.common.matcher.action.v3.SkipFilter',
                  },
                },
              },
            },
          ],
        },
      },
      extension_config: filter,
    },
  };
}

/** What is compared byte by byte comes before any expression, and what is not asked for is not looked at. */
function predicates({ refuseAmbiguousPath, except, inShare, ...own }: InjectionRules): object[] {
  const rules = hostPredicates(own);
  if (inShare) {
    rules.push(
      because(
        'Whether this pod is in the share of the policy, as the secret before it told.',
        header(SHARE_MARK, { exact: 'in' }),
      ) as object,
    );
  }
  rules.push(...matchPredicates(own));
  for (const other of except) {
    // Path and query are one value here: what could match into the query would take requests that are none of its own.
    const paths = other.paths?.filter(({ kind, value }) => kind !== 'regex' || !mayReachQuery(value));
    if (paths?.length === 0) continue;
    rules.push({ not_matcher: all([...hostPredicates(other), ...matchPredicates({ ...other, paths })]) });
  }
  if (refuseAmbiguousPath) {
    rules.push(
      header(':path', expression(PLAIN_PATH)),
      because('Two parsers may read such a path differently: no credential.', {
        not_matcher: header(':path', expression(AMBIGUOUS_PATH)),
      }) as object,
    );
  }
  return rules;
}

function hostPredicates({ hosts }: Pick<RequestRules, 'hosts'>): object[] {
  return hosts === undefined ? [] : [any(hosts.flatMap(authorityPredicates))];
}

function matchPredicates({ methods, paths }: Pick<RequestRules, 'methods' | 'paths'>): object[] {
  return [
    ...(methods === undefined ? [] : [any(methods.map((exact) => header(':method', { exact })))]),
    ...(paths === undefined ? [] : [any(paths.flatMap(pathPredicates))]),
  ];
}

function authorityPredicates(host: Authority): object[] {
  return [
    ...plainAuthorities(host).map((exact) => header(':authority', { exact })),
    header(':authority', expression(authorityExpression(host))),
  ];
}

/** `:path` has its query here. */
function pathPredicates(path: PathRule): object[] {
  const is = (value: object) => header(':path', value);
  switch (path.kind) {
    case 'exact':
      return [is({ exact: path.value }), is({ prefix: `${path.value}?` })];
    case 'prefix': {
      const bare = withoutSlash(path.value);
      if (bare === '') return [is({ prefix: '/' })];
      return [is({ prefix: `${bare}/` }), is({ exact: bare }), is({ prefix: `${bare}?` })];
    }
    case 'regex':
      return [is(expression(`(${path.value})(\\?.*)?`))];
  }
}

// Envoy refuses a list of one.
function all(predicate: object[]): object {
  return predicate.length === 1 ? predicate[0]! : { and_matcher: { predicate } };
}

function any(predicate: object[]): object {
  return predicate.length === 1 ? predicate[0]! : { or_matcher: { predicate } };
}

/** The whole value must match. */
function expression(regex: string): object {
  return { safe_regex: { google_re2: {}, regex } };
}

function header(name: string, valueMatch: object): object {
  return {
    single_predicate: {
      input: {
        name: name.replace(/^:/, ''),
        typed_config: {
          '@type': 'type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput',
          header_name: name,
        },
      },
      value_match: valueMatch,
    },
  };
}
