// The push door's rules inside Envoy: match_delegate around the injector, which is skipped unless host, method and path
// are the policy's (M13). A request that is routed here by mistake so leaves without a credential.
import type { PathRule } from '../../config/config.ts';
import { AMBIGUOUS_PATH, anyPathExpression, authorityExpression, methodExpression } from './expressions.ts';
import type { PlannedEndpoint } from './plan.ts';
import { because } from './yaml.ts';

export interface InjectionRules {
  readonly endpoint: PlannedEndpoint;
  readonly methods: readonly string[] | undefined;
  /** undefined = every path. */
  readonly paths: readonly PathRule[] | undefined;
  readonly refuseAmbiguousPath: boolean;
}

/** `filter` applies to requests that fulfil the rules and to no other. */
export function onlyWhen(rules: InjectionRules, filter: { name: string; typed_config: unknown }): object {
  return {
    name: 'bearerd.inject',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.common.matching.v3.ExtensionWithMatcher',
      xds_matcher: {
        matcher_list: {
          matchers: [
            {
              predicate: because(
                'Skipped unless all of these hold: a header that is missing can so never lead to an injection.',
                { not_matcher: { and_matcher: { predicate: predicates(rules) } } },
              ),
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

function predicates(rules: InjectionRules): unknown[] {
  const { methods, paths } = rules;
  const all: unknown[] = [header(':authority', authorityExpression(rules.endpoint))];
  if (methods !== undefined) all.push(header(':method', methodExpression(methods)));
  all.push(header(':path', anyPathExpression(paths)));
  if (rules.refuseAmbiguousPath) {
    all.push(
      because('Two parsers may read such a path differently: no credential.', {
        not_matcher: header(':path', AMBIGUOUS_PATH),
      }),
    );
  }
  return all;
}

/** The whole value of the header must match. */
function header(name: string, regex: string): object {
  return {
    single_predicate: {
      input: {
        name: name.slice(1),
        typed_config: {
          '@type': 'type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput',
          header_name: name,
        },
      },
      value_match: { safe_regex: { google_re2: {}, regex } },
    },
  };
}
