// npm run outage: an hour in a minute. A credential lives 10 s for 10 minutes; the provider goes away for 60 % of that and
// later for twice of it, under 100 requests a second through real Envoys in every door. A picture, then the figures as
// lines `name value unit`; exit 0 when each is within its bound.
import { setTimeout as sleep } from 'node:timers/promises';
import {
  DOORS,
  firstServed,
  freshCredential,
  livedAt,
  sentCalls,
  startOutageWorld,
  usableUntil,
} from '../../test/support/outage.ts';
import { startTraffic } from '../../test/support/traffic.ts';
import { type BreakerState, type Column, createPicture } from './picture.ts';

const MINUTES = 60;
const LIFETIME_MINUTES = 10;
/** A minute of the hour. */
const MINUTE_MS = 1_000;
const RATE = 100;
const SHORT_MS = 0.6 * LIFETIME_MINUTES * MINUTE_MS;
const LONG_MS = 2 * LIFETIME_MINUTES * MINUTE_MS;
const BREAKER: readonly BreakerState[] = ['closed', 'half open', 'open'];

interface Outage {
  readonly from: number;
  readonly until: number;
  readonly calls: number;
  readonly callLimit: number;
}

process.stdout.write('starting: identity provider, upstream, bearerd, an Envoy for each door\n');
const outage = await startOutageWorld({ lifetimeSeconds: (LIFETIME_MINUTES * MINUTE_MS) / 1_000 });
try {
  process.exitCode = await tell();
} finally {
  await outage.stop();
}

async function tell(): Promise<number> {
  const { world, provider, doors } = outage;
  const picture = createPicture({
    output: process.stdout,
    minutes: MINUTES,
    lifetimeMinutes: LIFETIME_MINUTES,
    doors: DOORS,
  });
  await freshCredential(provider);
  const begun = Date.now();
  const columns: Column[] = [];
  const outages: Outage[] = [];
  const traffic = startTraffic(doors, RATE);
  let note = 'the provider answers';
  let away = false;
  let watched = true;
  const watching = watch();
  await sleep(4 * MINUTE_MS);
  await goAway(SHORT_MS, 'away for 60 % of a credential’s life, nobody notices');
  await sleep(4 * MINUTE_MS);
  await goAway(LONG_MS, 'away for twice a credential’s life, 503 once it has ended');
  await sleep(Math.max(3_000, begun + MINUTES * MINUTE_MS - Date.now()));
  const sent = await traffic.stop();
  watched = false;
  await watching;
  picture.end(columns, 'over');
  return figures();

  async function goAway(ms: number, what: string): Promise<void> {
    await freshCredential(provider);
    const callsBefore = await sentCalls(world);
    const from = Date.now();
    note = what;
    away = true;
    await provider.stop();
    await sleep(ms);
    const calls = (await sentCalls(world)) - callsBefore;
    await provider.start();
    const until = Date.now();
    away = false;
    note = 'the provider answers again';
    // Back-off while a credential lives, then a probe every 500 ms.
    const without = Math.max(0, until - usableUntil(provider, from));
    outages.push({ from, until, calls, callLimit: 8 + Math.ceil(without / 500) });
  }

  /** Adds what has happened to the picture, four times a minute. */
  async function watch(): Promise<void> {
    let callsBefore = await sentCalls(world);
    let seen = 0;
    for (;;) {
      const text = await world.metrics();
      const index = Math.min(MINUTES - 1, Math.floor((Date.now() - begun) / MINUTE_MS));
      while (columns.length <= index) columns.push(emptyColumn());
      const column = columns[index]!;
      column.providerAway = away;
      column.breaker = BREAKER[metricOf(text, 'bearerd_endpoint_breaker')]!;
      column.runway = (metricOf(text, 'bearerd_credential_runway_seconds') * 1_000) / MINUTE_MS;
      const calls = await sentCalls(world);
      column.tokenCalls += calls - callsBefore;
      callsBefore = calls;
      for (; seen < traffic.sent.length; seen++) {
        const { door, at, status } = traffic.sent[seen]!;
        const of =
          columns[Math.min(index, Math.max(0, Math.floor((at - begun) / MINUTE_MS)))]!.doors.get(door)!;
        if (status === 200) of.served++;
        else if (livedAt(provider, at)) of.lost++;
        else of.denied++;
      }
      picture.draw(columns, note);
      if (!watched) return;
      await sleep(MINUTE_MS / 4);
    }
  }

  function figures(): number {
    const failed = sent.filter(({ status }) => status !== 200);
    const lost = failed.filter(({ at }) => livedAt(provider, at));
    const denied = failed.filter(({ at }) => !livedAt(provider, at));
    const unexplained = denied.filter(
      ({ status, told, retryAfter }) =>
        status !== 503 || !/"reason":"|"error":"no_credential"/.test(told) || !(Number(retryAfter) >= 1),
    );
    const long = outages.at(-1)!;
    const recoveryMs = Math.max(...DOORS.map((door) => firstServed(sent, door, long.until))) - long.until;
    const calls = outages.reduce((sum, one) => sum + one.calls, 0);
    const limit = outages.reduce((sum, one) => sum + one.callLimit, 0);
    const told: [string, number, string, boolean][] = [
      ['requests', sent.length, 'requests', sent.length > RATE * 50],
      ['requests_lost', lost.length, 'requests', lost.length === 0],
      ['requests_denied', denied.length, 'requests', denied.length > 0],
      ['requests_denied_without_reason', unexplained.length, 'requests', unexplained.length === 0],
      ['expired_sent', world.upstream.expired, 'requests', world.upstream.expired === 0],
      ['token_calls', provider.tokenCalls, 'calls', true],
      ['token_calls_in_outage', calls, 'calls', calls <= limit],
      ['token_calls_in_outage_limit', limit, 'calls', true],
      ['recovery_ms', Math.round(recoveryMs), 'ms', recoveryMs <= 1_000],
    ];
    for (const [name, value, unit, good] of told) {
      process.stdout.write(`${name} ${value} ${unit}${good ? '' : '   OUT OF BOUNDS'}\n`);
    }
    return told.every(([, , , good]) => good) ? 0 : 1;
  }
}

function emptyColumn(): Column {
  return {
    providerAway: false,
    breaker: 'closed',
    runway: 0,
    tokenCalls: 0,
    doors: new Map(DOORS.map((door) => [door, { served: 0, denied: 0, lost: 0 }])),
  };
}

/** Of the one line of this metric. */
function metricOf(text: string, metric: string): number {
  return Number(new RegExp(`^${metric}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(text)?.[1] ?? 0);
}
