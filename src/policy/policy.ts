// The noun "policy": which requests get which credential, and how. Compiled once at load, then frozen.
import type { HealOn, ProofConfig, SubjectHeaders } from '../config/config.ts';
import type { BucketSize } from '../lib/token-bucket.ts';
import type { Injection } from './injection.ts';
import type { Rollout } from './rollout.ts';

export type { SubjectHeaders };

export interface Policy {
  /** Position in the file; the lower one wins. */
  readonly index: number;
  readonly name: string;
  /** HTTP status by which its requests are refused; undefined = it injects. */
  readonly denies: number | undefined;
  /** Name of the source whose credential is injected; '' where it denies. */
  readonly source: string;
  readonly injection: Injection;
  /** Where the request says for whom it is made; undefined = its credential is everybody's. */
  readonly subject: SubjectHeaders | undefined;
  /** Headers of the request that no upstream may see, beside those that the credential takes the place of. */
  readonly removes: readonly string[];
  /** Made anew for each attempt; undefined = the credential alone is enough. */
  readonly proof: ProofConfig | undefined;
  /** Whether its credential may leave Envoy without TLS. */
  readonly plaintext: boolean;
  readonly onFailure: 'deny' | 'pass';
  readonly rateLimit: BucketSize | undefined;
  readonly healOn: HealOn;
  /** Whether it is kept for a minute which request carried its credential: for refusals, and for the guard. */
  readonly remembered: boolean;
  /** Name of the source that Envoy's configuration has for it, where the guard put another in its place. */
  readonly instead: string | undefined;
  /** undefined = in force for every request. */
  readonly rollout: Rollout | undefined;
}

/** `undefined` = no policy; 'ambiguous_path' = two parsers may read the path differently and the policy says deny. */
export type Match = Policy | undefined | 'ambiguous_path';

export interface PolicyTable {
  readonly policies: readonly Policy[];
  readonly unmatched: 'pass' | 'deny';
  /** Headers of requests that policies read, lower case, each once. */
  readonly readHeaders: readonly string[];
  byName(name: string): Policy | undefined;
  /**
   * First policy that covers the request, as the app sent it. `host` may carry a port; a missing port counts as the
   * scheme's (80 for http, 443 for https). `path` may carry a query, which is never read. No I/O, no clock.
   */
  match(host: string, method: string, path: string, scheme: string): Match;
  /**
   * The policy in shadow that would deny the request; match() passes over those, since what they watch goes on as without
   * them. undefined where there are none.
   */
  readonly wouldDeny:
    | ((host: string, method: string, path: string, scheme: string) => Policy | undefined)
    | undefined;
  /** Whether the hosts of this policy cover `host`. */
  coversHost(policy: Policy, host: string, scheme: string): boolean;
}
