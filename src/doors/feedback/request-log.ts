// One entry of the log of every request (access_log: full) as what metrics need of it. Labels come from the configuration and
// from closed sets, whatever a request says. Reads paths and headers, logs none of them.
import { RequestMethod } from '../../gen/envoy/config/core/v3/base.ts';
import { AccessLogType, type HTTPAccessLogEntry } from '../../gen/envoy/data/accesslog/v3/accesslog.ts';
import type { PolicyTable } from '../../policy/policy.ts';
import type { FeedbackDoor, RequestStatus } from '../../telemetry/event-details.ts';
import type { Observer } from '../../telemetry/observer.ts';

/** Of upstreams, with whole numbers first: in wide use, and of the older drafts of RateLimit of the IETF. */
const LIMIT = ['x-ratelimit-limit', 'ratelimit-limit'];
const REMAINING = ['x-ratelimit-remaining', 'ratelimit-remaining'];
export const RATE_LIMIT_HEADERS: readonly string[] = [...LIMIT, ...REMAINING];

const DOORS: ReadonlyMap<string, FeedbackDoor> = new Map([
  ['push', 'push'],
  ['attempt', 'attempt'],
]);
const OWN_STATUS: ReadonlySet<number> = new Set([401, 403, 429, 503]);

const methodNames = new Map<number, string>(Object.entries(RequestMethod).map(([name, n]) => [n, name]));

export function countRequest(
  { commonProperties: common, request, response }: HTTPAccessLogEntry,
  { policies, observer }: { readonly policies: PolicyTable; readonly observer: Observer },
): void {
  if (common?.accessLogType !== AccessLogType.DownstreamEnd || request === undefined) return;
  const { authority, scheme, path, originalPath, requestMethod } = request;
  const match = policies.match(
    authority,
    methodNames.get(requestMethod) ?? '',
    originalPath === '' ? path : originalPath,
    scheme,
  );
  const policy = match === 'ambiguous_path' ? undefined : match?.name;
  // The cluster's own word; the check door's clusters say nothing.
  const door = policy && (DOORS.get(common.customTags.get('bearerd.door') ?? '') ?? 'check');
  const { seconds, nanos } = common.duration ?? { seconds: 0, nanos: 0 };
  observer.requestEnded(policy, door || undefined, statusOf(response), seconds * 1_000 + nanos / 1e6);
  if (policy === undefined || response === undefined) return;
  const [limit, remaining] = [
    numberIn(response.responseHeaders, LIMIT),
    numberIn(response.responseHeaders, REMAINING),
  ];
  if (limit !== undefined || remaining !== undefined) observer.rateLimitSeen(policy, limit, remaining);
}

function statusOf(response: HTTPAccessLogEntry['response']): RequestStatus {
  const code = response?.responseCode ?? 0;
  if (response === undefined || code < 100 || code > 599) return 'none';
  if (OWN_STATUS.has(code)) return String(code) as RequestStatus;
  const grpc = response.responseTrailers.get('grpc-status') ?? response.responseHeaders.get('grpc-status');
  if (code === 200 && grpc !== undefined && grpc !== '0') return 'grpc_error';
  return `${Math.floor(code / 100)}xx` as RequestStatus;
}

/** `100`, and `100, 100;w=60` of the drafts. */
function numberIn(headers: ReadonlyMap<string, string>, names: readonly string[]): number | undefined {
  for (const name of names) {
    const found = /^\s*(\d{1,15})\b/.exec(headers.get(name) ?? '');
    if (found !== null) return Number(found[1]);
  }
  return undefined;
}
