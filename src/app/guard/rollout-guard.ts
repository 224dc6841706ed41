// Looks once a second at the policies that have a guard, and asks for other versions of them to be put in force. What is
// judged and how is in policy/guard/, by which totals in totals.ts; here are the time and the memory.
import type { Config, SourceConfig } from '../../config/config.ts';
import type { RefusalCount } from '../../doors/feedback/refused-share.ts';
import type { Clock, Timer } from '../../lib/clock.ts';
import { createGuard, type Guard, type Rates, type Totals } from '../../policy/guard/guard.ts';
import {
  alarmOf,
  isUnderWay,
  nextStates,
  type PolicyState,
  type PolicyStates,
} from '../../policy/guard/versions.ts';
import type { GuardAlarm } from '../../telemetry/event-details.ts';
import { guardStateText, writeGuardState } from './state.ts';
import { MANIFEST_COMMAND, NOTES } from './texts.ts';
import { createGuardTotals, type GuardTotalsDeps } from './totals.ts';

/** Of one policy. Versions are told by a part of their hash. */
export interface GuardStatus {
  readonly policy: string;
  readonly version: string;
  readonly good: string | undefined;
  readonly proven: boolean;
  readonly watched: boolean;
  readonly alarm: GuardAlarm | undefined;
  /** Why push goes on with the version that was stepped back from. */
  readonly manifest: string | undefined;
  /** Why it knows nothing of the requests. */
  readonly blind: string | undefined;
}

export interface RolloutGuardDeps extends GuardTotalsDeps {
  readonly clock: Clock;
  readonly config: Pick<Config, 'envoyAdmin' | 'stateDir'>;
  /** As they were when this process before ended. */
  readonly remembered: PolicyStates;
  /** Whether a source that is in force has a credential now. */
  readonly canInject: (source: SourceConfig) => boolean;
  /** Puts in force what `make` says once its turn comes, among other changes. */
  readonly rearrange: (make: () => PolicyStates) => Promise<void>;
}

export interface RolloutGuard extends RefusalCount {
  /** What another configuration makes of what is known. */
  next(config: Config): PolicyStates;
  /** These are in force now. `manifests`: policies that push cannot step back, with why. */
  use(config: Config, states: PolicyStates, manifests: ReadonlyMap<string, string>): void;
  start(): void;
  stop(): Promise<void>;
  /** For people: policies in alarm; empty = none. */
  notes(): readonly string[];
  status(): readonly GuardStatus[];
}

const LOOK_EVERY_MS = 1_000;
const MAX_ABSENT = 1_000;

interface Watch {
  readonly guard: Guard;
  readonly version: string;
  rates: Rates | undefined;
  blind: string | undefined;
}

export function createRolloutGuard(deps: RolloutGuardDeps): RolloutGuard {
  const { clock, observer, canInject, rearrange, remembered } = deps;
  const { stateDir } = deps.config;
  const totals = createGuardTotals(deps);
  const watches = new Map<string, Watch>();
  let config: Config | undefined;
  let states = remembered;
  /** Of policies that the configuration does not have now: what comes back as it was is as it was. */
  let absent: PolicyStates = new Map();
  let manifests: ReadonlyMap<string, string> = new Map();
  let timer: Timer | undefined;
  let written = '';
  let writing = Promise.resolve();

  function totalsOf(policy: string): Totals {
    return totals.of(policy, states.get(policy)?.current.outbound.subject !== undefined);
  }

  async function look(): Promise<void> {
    if (watches.size === 0) return totals.pause();
    await totals.read(config!);
    const now = clock.monotonic();
    for (const [policy, watch] of watches) {
      const state = states.get(policy)!;
      watch.rates = watch.guard.look(totalsOf(policy), now);
      const why = totals.blind(policy);
      if (why !== undefined && why !== watch.blind) observer.guardHindered('totals', `${policy}: ${why}`);
      watch.blind = why;
      if (watch.rates !== undefined) await alarmed(policy, state, watch.rates);
      else if (state.alarm !== undefined) await put(policy, state, { alarm: undefined });
      else if (!state.proven && watch.guard.isGood(now)) await put(policy, state, { proven: true });
    }
  }

  async function alarmed(policy: string, state: PolicyState, rates: Rates): Promise<void> {
    const alarm = alarmOf(state, config!, canInject);
    if (alarm !== state.alarm) await put(policy, state, { alarm }, rates);
  }

  async function put(
    policy: string,
    { current }: PolicyState,
    change: { readonly proven?: true; readonly alarm?: GuardAlarm | undefined },
    rates?: Rates,
  ): Promise<void> {
    let changed: PolicyState | undefined;
    await rearrange(() => {
      const state = states.get(policy);
      // Another version has come while this waited for its turn.
      changed = state?.current.hash === current.hash ? { ...state, ...change } : undefined;
      return changed === undefined ? states : new Map(states).set(policy, changed);
    });
    if (changed !== undefined && states.get(policy) === changed) tell(policy, changed, change, rates);
  }

  function tell(
    policy: string,
    { current, good, alarm }: PolicyState,
    change: { readonly proven?: true },
    rates?: Rates,
  ): void {
    const version = shortOf(current.hash);
    if (change.proven) return observer.guardProven(policy, version);
    if (alarm === undefined) return; // use() told
    observer.guardChanged(policy, alarm, {
      version,
      good: good && shortOf(good.hash),
      ...(rates && {
        enforced: rounded(rates.enforced),
        withheld: rates.withheld === undefined ? undefined : rounded(rates.withheld),
        requests: rates.requests,
      }),
      manifest: manifests.has(policy) ? `${manifests.get(policy)}; ${MANIFEST_COMMAND}` : undefined,
    });
  }

  function watch(policy: string, { current }: PolicyState): void {
    if (watches.get(policy)?.version === current.hash) return;
    watches.set(policy, {
      guard: createGuard(current.outbound.guard!, totalsOf(policy), clock.monotonic()),
      version: current.hash,
      rates: undefined,
      blind: undefined,
    });
  }

  function write(): void {
    if (stateDir === undefined) return;
    const text = guardStateText(new Map([...absent, ...states]));
    if (text === written) return;
    written = text;
    writing = writing
      .then(() => writeGuardState(stateDir, text))
      .catch((error: Error) => {
        written = '';
        observer.guardHindered('state_dir', error.message);
      });
  }

  function everySecond(): void {
    timer = clock.setTimer(() => {
      void look()
        .catch((error: unknown) => observer.unexpected('guard', error))
        .then(() => timer && everySecond());
    }, LOOK_EVERY_MS);
  }

  return {
    next: (another) => nextStates(new Map([...absent, ...states]), another),
    use(inForce, next, push) {
      const before = states;
      config = inForce;
      states = next;
      absent = latest([...absent, ...before].filter(([policy]) => !states.has(policy)));
      manifests = push;
      for (const [policy, state] of states) {
        if (isUnderWay(state)) watch(policy, state);
        else watches.delete(policy);
      }
      for (const policy of watches.keys()) if (!states.has(policy)) watches.delete(policy);
      for (const [policy, { alarm, current }] of before) {
        if (alarm !== undefined && states.get(policy)?.alarm === undefined) {
          observer.guardChanged(policy, undefined, { version: shortOf(current.hash) });
        }
      }
      for (const [policy, state] of states) {
        if (state.alarm !== undefined && !before.has(policy)) tell(policy, state, {});
      }
      write();
    },
    refused(policy, share, path, startedAt) {
      const watched = watches.get(policy);
      if (watched === undefined) return;
      // How a request that began before it was answered says nothing of this version. By the wall clock of now, as Envoy's
      // stamps: it may have been set since.
      if (startedAt < clock.now() - (clock.monotonic() - watched.guard.since)) return;
      totals.refused(policy, share);
      if (share === 'enforced') watched.guard.refusedOn(path);
    },
    refusedOn: (policy, path) => watches.get(policy)?.guard.refusedOn(path),
    start() {
      for (const [policy, state] of states) if (state.alarm !== undefined) tell(policy, state, {});
      if (timer === undefined) everySecond();
    },
    async stop() {
      timer?.cancel();
      timer = undefined;
      await writing;
    },
    notes: () =>
      [...states].flatMap(([policy, { alarm }]) =>
        alarm === undefined ? [] : [`guard: ${policy} ${NOTES[alarm]}`],
      ),
    status: () =>
      [...states].map(([policy, { current, proven, good, alarm }]) => ({
        policy,
        version: shortOf(current.hash),
        proven,
        good: good && shortOf(good.hash),
        watched: watches.has(policy),
        alarm,
        manifest: manifests.get(policy),
        blind: watches.get(policy)?.blind,
      })),
  };
}

function latest(all: readonly (readonly [string, PolicyState])[]): PolicyStates {
  return new Map(all.slice(-MAX_ABSENT));
}

function shortOf(hash: string): string {
  return hash.slice(0, 12);
}

function rounded(percent: number): number {
  return Math.round(percent * 10) / 10;
}
