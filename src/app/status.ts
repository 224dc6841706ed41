// What GET /status says: the state of every part, and what the recorder remembers; what of it matters most is findings.ts.
// Never a value.
import type { PolicyBundleStatus } from '../bundle/policy-bundle.ts';
import type { Config } from '../config/config.ts';
import type { SourceStatus } from '../credential/credential.ts';
import type { SubscriberStatus } from '../doors/push/subscribers.ts';
import type { Policy } from '../policy/policy.ts';
import type { EndpointStatus } from '../source/endpoint/endpoint.ts';
import type { DecisionTotal, Metrics } from '../telemetry/metrics-observer.ts';
import type { MinuteReport } from '../telemetry/status/last-hour.ts';
import type {
  CertificateReport,
  FeedbackEvent,
  InputReport,
  SharedCacheReport,
  StatusRecorder,
} from '../telemetry/status/status-recorder.ts';
import type { GuardStatus } from './guard/rollout-guard.ts';

/** Times in epoch ms. What is undefined is left out in JSON; Infinity becomes null there. */
export interface Status {
  readonly version: string;
  readonly mode: Config['mode'];
  /** The pod's name where there is one. */
  readonly node: string;
  readonly now: number;
  readonly startedAt: string;
  readonly missing: readonly string[];
  /** The worst first. */
  readonly findings: readonly Finding[];
  readonly sources: readonly (SourceStatus & {
    readonly publishedAt?: number;
    readonly lastHour: readonly MinuteReport[];
    /** Asked for and not granted. */
    readonly withheldScope?: readonly string[];
  })[];
  readonly endpoints: readonly (EndpointStatus & { readonly lastHour: readonly MinuteReport[] })[];
  readonly configuration: {
    readonly revision: number;
    readonly hash: string;
    readonly since: string;
    /** Problems of the last one that was not taken over. */
    readonly refused: string | undefined;
  };
  readonly guard: readonly GuardStatus[];
  readonly policyBundle: PolicyBundleStatus | undefined;
  readonly policies: readonly {
    readonly name: string;
    /** '' where it denies. */
    readonly source: string;
    /** HTTP status by which it denies; undefined = it injects. */
    readonly denies: number | undefined;
    readonly headers: readonly string[];
    readonly query: string | undefined;
    readonly healOn: string;
    readonly onFailure: string;
    readonly rollout: {
      readonly mode: string;
      readonly percent?: number | undefined;
      readonly by?: string | undefined;
    };
    readonly decisions: readonly DecisionTotal[];
  }[];
  /** Of requests that no policy matched. */
  readonly unmatched: readonly DecisionTotal[];
  readonly feedback: readonly FeedbackEvent[];
  readonly subscribers: readonly SubscriberStatus[];
  /** Subscribed names that are not shown. */
  readonly subscribersLeftOut: number;
  readonly inbound: object | undefined;
  readonly inboundPolicies: readonly {
    readonly name: string;
    readonly accepted: number;
    readonly refused: number;
    /** Those that a policy in shadow would have refused. */
    readonly shadow: number;
  }[];
  readonly inputs: readonly InputReport[];
  readonly certificates: readonly CertificateReport[];
  readonly audit: { readonly state: 'ok' | 'failed'; readonly lost: number } | undefined;
  readonly sharedCache: SharedCacheReport | undefined;
  readonly spansLost: number | undefined;
}

export interface Finding {
  /** note = something goes on that mends itself. */
  readonly severity: 'critical' | 'warning' | 'note';
  readonly about: string;
  readonly text: string;
}

export type Facts = Omit<Status, 'findings'>;

/** What the parts say of themselves. */
export interface Parts
  extends Pick<
    Status,
    'version' | 'mode' | 'node' | 'now' | 'startedAt' | 'missing' | 'configuration' | 'guard' | 'policyBundle'
  > {
  readonly config: Config;
  readonly policies: readonly Policy[];
  readonly sources: readonly SourceStatus[];
  readonly endpoints: readonly EndpointStatus[];
  readonly pushed: { readonly subscribers: readonly SubscriberStatus[]; readonly leftOut: number };
  readonly inbound: object | undefined;
  readonly recorder: StatusRecorder;
  readonly metrics: Metrics;
}

export function buildFacts(parts: Parts): Facts {
  const { config, policies, sources, endpoints, pushed, inbound, recorder, metrics, ...told } = parts;
  const rollouts = new Map(config.outbound.map(({ name, rollout }) => [name, rollout]));
  const { audit, sharedCache, spansLost } = recorder.sinks();
  return {
    ...told,
    sources: sources.map((one) => ({ ...one, ...recorder.ofSource(one.source) })),
    endpoints: endpoints.map((one) => ({ ...one, lastHour: recorder.ofEndpoint(one.endpoint) })),
    policies: policies.map(({ name, source, denies, injection, healOn, onFailure }) => ({
      name,
      source,
      denies,
      headers: injection.headers.map((header) => header.name),
      query: injection.query,
      healOn,
      onFailure,
      rollout: rollouts.get(name) ?? { mode: 'enforce' },
      decisions: metrics.decisionsOf(name),
    })),
    unmatched: metrics.decisionsOf(''),
    feedback: recorder.feedback(),
    subscribers: pushed.subscribers,
    subscribersLeftOut: pushed.leftOut,
    inbound,
    inboundPolicies: (config.inbound?.policies ?? []).map(({ name }) => ({
      name,
      accepted: metrics.observer.acceptanceCount(name).count,
      ...recorder.ofInboundPolicy(name),
    })),
    inputs: recorder.inputs(),
    certificates: recorder.certificates(),
    audit: config.audit && audit,
    sharedCache: config.sharedCache && sharedCache,
    spansLost: config.tracing && spansLost,
  };
}
