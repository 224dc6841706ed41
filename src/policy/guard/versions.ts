// Versions of the policies that have a guard: which one runs, which one was good before it, and what stands in force after
// an alarm. Pure: configuration in, configuration out. Docs: docs/rollout.md.
import type { Config, OutboundConfig, RolloutConfig, SourceConfig } from '../../config/config.ts';
import { contentHash, fingerprint } from '../../lib/fingerprint.ts';
import type { GuardAlarm } from '../../telemetry/event-details.ts';

/** All that concerns the injection of one policy. */
export interface Version {
  /** Hex; the same for the same content. */
  readonly hash: string;
  readonly outbound: OutboundConfig;
  /** Its own and the fallbacks behind it, in this order. */
  readonly sources: readonly SourceConfig[];
}

export interface PolicyState {
  /** What the configuration says. */
  readonly current: Version;
  /** Whether it ran long enough without alarm. */
  readonly proven: boolean;
  /** The last one before it that was. */
  readonly good: Version | undefined;
  readonly alarm: GuardAlarm | undefined;
}

/** By policy. */
export type PolicyStates = ReadonlyMap<string, PolicyState>;

/** What stands in force, and what it was made of. */
export interface Arranged {
  readonly config: Config;
  /** By policy that was stepped back: what it was to inject, and now does. */
  readonly insteads: ReadonlyMap<string, Instead>;
}

export interface Instead {
  readonly given: OutboundConfig;
  readonly inForce: OutboundConfig;
}

/** Nothing of the request is touched, as in the share that a policy is not yet in force for. */
const WITHHELD: RolloutConfig = { mode: 'shadow', percent: undefined, by: undefined };

/** What another configuration makes of `before`: a version with another hash begins anew. */
export function nextStates(before: PolicyStates, config: Config): PolicyStates {
  const guarded = config.outbound.filter(({ guard }) => guard !== undefined);
  return new Map(
    guarded.map((outbound): [string, PolicyState] => {
      const current = versionOf(outbound, config.sources);
      const known = before.get(outbound.name);
      if (known?.current.hash === current.hash) {
        // What it was stepped back to may be in nobody's reach by now: better told than taken for granted.
        const lost = known.alarm === 'stepped_back' && !(known.good && keep(known.good, [...config.sources]));
        return [outbound.name, { ...known, current, alarm: lost ? undefined : known.alarm }];
      }
      const good = known?.proven && known.alarm === undefined ? known.current : known?.good;
      return [outbound.name, { current, proven: false, good, alarm: undefined }];
    }),
  );
}

/** Whether a version is still on its way: new, or for a share only. */
export function isUnderWay({ current, proven, alarm }: PolicyState): boolean {
  const { mode } = current.outbound.rollout;
  if (mode !== 'enforce' || alarm === 'stepped_back' || alarm === 'withdrawn') return false;
  return !proven || isShare(current);
}

function isShare({ outbound }: Version): boolean {
  const { percent } = outbound.rollout;
  return percent !== undefined && percent < 100;
}

/** `canInject`: whether the source of this name has a credential now. */
export function alarmOf(
  state: PolicyState,
  config: Config,
  canInject: (source: SourceConfig) => boolean,
): GuardAlarm {
  const kept = state.good && keep(state.good, [...config.sources]);
  if (kept !== undefined && canInject(kept)) return 'stepped_back';
  // What the other share gets already. With `enforce` an app may have nothing of its own to send.
  return isShare(state.current) ? 'withdrawn' : 'nothing_to_step_back_to';
}

/** Good versions stand by with their sources while they may be needed, so that stepping back waits for no provider. */
export function arrange(config: Config, states: PolicyStates): Arranged {
  const sources = [...config.sources];
  const insteads = new Map<string, Instead>();
  const outbound = config.outbound.map((given) => {
    const state = states.get(given.name);
    if (state === undefined) return given;
    if (state.alarm === 'withdrawn') return { ...given, rollout: WITHHELD };
    if (state.good === undefined || !(state.alarm === 'stepped_back' || isUnderWay(state))) return given;
    const source = keep(state.good, sources);
    if (source === undefined || state.alarm !== 'stepped_back') return given;
    const before = state.good.outbound;
    const inForce = { ...before, inject: { ...before.inject, source: source.name } };
    insteads.set(given.name, { given, inForce });
    return inForce;
  });
  const same =
    sources.length === config.sources.length && outbound.every((one, i) => one === config.outbound[i]);
  return { config: same ? config : { ...config, sources, outbound }, insteads };
}

/**
 * Puts the sources of a version among `sources`, where another one of the same name may stand by now: then under
 * `NAME@HASH`, which no file can name. Its own as it is called there; undefined where it cannot be: a refresh token has one
 * holder.
 */
function keep({ sources: kept }: Version, sources: SourceConfig[]): SourceConfig | undefined {
  let fallback: string | undefined;
  let last: SourceConfig | undefined;
  const added: SourceConfig[] = [];
  // From the last fallback up, since each names the one behind it.
  for (const source of kept.toReversed()) {
    // Readiness waits for what the configuration asks for, not for what was.
    const wanted: SourceConfig = { ...source, fallback, required: false };
    const known = sources.find(({ name }) => name === source.name);
    if (known !== undefined && isSame(known, wanted)) last = known;
    else if (source.type === 'refresh_token') return undefined;
    else if (known === undefined) {
      last = wanted;
      added.push(last);
    } else {
      const name = `${source.name}@${contentHash(wanted).slice(0, 8)}`;
      last = sources.find((other) => other.name === name) ?? { ...wanted, name };
      if (!sources.includes(last)) added.push(last);
    }
    fallback = last.name;
  }
  sources.push(...added);
  return last;
}

function isSame(a: SourceConfig, b: SourceConfig): boolean {
  return fingerprint({ ...a, required: false }) === fingerprint({ ...b, required: false });
}

function versionOf(outbound: OutboundConfig, all: readonly SourceConfig[]): Version {
  const sources: SourceConfig[] = [];
  for (
    let name: string | undefined = outbound.inject.source;
    name !== undefined && !sources.some((source) => source.name === name);
    name = sources.at(-1)?.fallback
  ) {
    const source = all.find((one) => one.name === name);
    if (source === undefined) break;
    sources.push(source);
  }
  return { hash: fingerprint({ outbound, sources }), outbound, sources };
}
