// Everything at once, for long: requests through all doors of real Envoys, a real provider, a real Redis, TLS between Envoy
// and bearerd, and one fault after the other at random. What each door may show of it is judged request by request.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse, stringify } from 'yaml';
import { createWorld, type GatedEnvoy, gated, type World } from '../../demo/world.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { generateInbound } from '../../src/doors/generate/inbound/inbound.ts';
import { startEnvoy } from './envoy.ts';
import { newKey } from './fleet.ts';
import { goodClaims } from './inbound-world.ts';
import { freePort } from './ports.ts';
import { startRedis } from './redis.ts';
import { ENVOY, FAULTS, type Interval, type Parts, randomOf, shuffledForever } from './soak-faults.ts';
import { createTestKey, jwkSet, signToken } from './token-issuer.ts';
import { type Sent, startTraffic } from './traffic.ts';

export interface SoakOptions {
  readonly seconds: number;
  /** Over all doors. */
  readonly perSecond: number;
  /** Printed; the same seed gives the same order of faults. */
  readonly seed: number;
}

/** Lives long enough that a provider which is away for MAX_OUTAGE_MS is not noticed. */
const LIFETIME_SECONDS = 60;
/** After a stop ends, and after a revocation, a request may still show it for so long. */
const AFTER_MS = 1_000;
const CLOCKS_MS = 3;
const MEASURED_EVERY_MS = 1_000;
/** Over the whole of it. */
const MAX_RISE_MB = 20;

export async function soak(t: TestContext, { seconds, perSecond, seed }: SoakOptions): Promise<void> {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const port = await freePort();
  const world = await createWorld({
    lifetimeSeconds: LIFETIME_SECONDS,
    check: `{ address: "127.0.0.1:${port}", tls: { certificate: FOLDER/bearerd.pem, private_key: FOLDER/bearerd.key, client_ca: FOLDER/demo-authority.pem, allowed_uris: ["${ENVOY}"] } }\n  check_inbound: unix://FOLDER/in.sock`,
    checkUpstream: async (authority) => {
      await authority.issue('bearerd', 'server');
      const own = await authority.issue('envoy', 'client', { uris: [ENVOY] });
      return { address: '127.0.0.1', port, tls: { ca: authority.ca, ...own, sni: 'bearerd' } };
    },
    settings: `shared_cache: { redis: { address: "127.0.0.1:${redis.port}" }, tenant: soak, keys: [{ inline: "${newKey()}" }] }
inbound:
  issuers: { idp: { issuer: "https://idp.example.com", jwks_file: jwks.json, audience: orders } }
  revocation: { shared: true }
  policies: [{ name: api, match: {} }]
`,
  });
  t.after(() => world.stop());
  const key = createTestKey('one', 'EdDSA');
  writeFileSync(join(world.folder, 'jwks.json'), jwkSet(key));
  const bearerd = await world.startBearerd();
  await world.ready();
  const doors = new Map<string, Pick<GatedEnvoy, 'send' | 'url'>>();
  for (const door of ['check', 'push', 'attempt'] as const) {
    doors.set(door, await world.startEnvoy(door, (text) => withAccessLog(text, accessLog(world, door))));
  }
  const inbound = await startInboundSide(t, world);
  doors.set('inbound', {
    ...inbound,
    send: (path) =>
      inbound.send(path, { headers: { authorization: `Bearer ${signToken(key, goodClaims())}` } }),
  });
  const parts: Parts = { world, bearerd, redis, doors, checkPort: port, stops: [], revocations: [] };

  // From the first scrape on the delay of the event loop is measured.
  await world.metrics();
  const traffic = startTraffic(doors, perSecond);
  const memory: number[] = [];
  const measuring = setInterval(() => memory.push(rssOf(bearerd.pid)), MEASURED_EVERY_MS);
  const faults: (Interval & { readonly name: string })[] = [];
  const begun = Date.now();
  try {
    for (const name of shuffledForever(Object.keys(FAULTS), seed)) {
      if (Date.now() >= begun + seconds * 1_000) break;
      const fault = { name, from: Date.now(), to: Number.POSITIVE_INFINITY };
      faults.push(fault);
      await FAULTS[name]!(parts, randomOf(seed + faults.length));
      fault.to = Date.now();
      await sleep(AFTER_MS + 500);
    }
  } finally {
    clearInterval(measuring);
  }
  const sent = await traffic.stop();

  const lag = /^bearerd_event_loop_delay_seconds (\S+)/m.exec(await world.metrics())?.[1];
  const grown = riseOf(memory);
  const counts = Object.keys(FAULTS).map(
    (name) => `${name} ${faults.filter((one) => one.name === name).length}`,
  );
  t.diagnostic(`seed ${seed}: ${counts.join(', ')}`);
  t.diagnostic(
    `${sent.length} requests; not 200: ${JSON.stringify(tally(sent))}; tokens ${world.provider.tokenCalls}`,
  );
  t.diagnostic(
    `RSS ${median(memory).toFixed(0)} MB, ${grown.mbPerHour.toFixed(0)} MB/h; event loop late by ${(Number(lag) * 1_000).toFixed(1)} ms at p99`,
  );
  const wrong = sent.filter((one) => one.status !== 200 && !isAllowed(one, parts));
  if (wrong.length > 0) {
    // Envoy writes its access log every ten seconds.
    await sleep(11_000);
    for (const one of wrong.slice(0, 20)) {
      const inForce = faults.filter(({ from, to }) => one.at + one.ms >= from && one.at <= to + 2 * AFTER_MS);
      t.diagnostic(
        `lost after ${((one.at - begun) / 1_000).toFixed(2)} s: ${one.door} ${one.status} in ${one.ms.toFixed(0)} ms: ${one.told.slice(0, 120)}; fault: ${inForce.map(({ name, from, to }) => `${name}, ${one.at - from} ms after its begin, ${one.at - to} ms after its end`).join('; ') || 'none'}; Envoy: ${envoyOn(world, one)}`,
      );
    }
  }
  assert.equal(
    wrong.length,
    0,
    `${wrong.length} requests were lost; above is when, what was wrong and what Envoy says`,
  );
  assert.equal(world.upstream.expired, 0, 'an expired token was sent');
  assert.equal(world.upstream.doubled, 0, 'a doubled header was sent');
  assert.ok(sent.length > seconds * perSecond * 0.8, `only ${sent.length} requests were sent`);
  for (const door of doors.keys())
    assert.ok(
      sent.filter((one) => one.door === door && one.status === 200).length > (sent.length / doors.size) * 0.7,
      door,
    );
  for (const name of Object.keys(FAULTS))
    assert.ok(
      faults.some((one) => one.name === name),
      `${name} never happened`,
    );
  assert.ok(grown.mb < MAX_RISE_MB, `RSS grew by ${grown.mb.toFixed(0)} MB`);
}

/** An app behind an Envoy that asks the same bearerd who calls. */
async function startInboundSide(t: TestContext, world: World): Promise<GatedEnvoy> {
  const app = createServer((incoming, outgoing) => {
    incoming.resume();
    outgoing.end('answer');
  });
  // Node's five seconds end an idle connection just when Envoy uses it again.
  app.keepAliveTimeout = 0;
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
  const config = parseConfig(readFileSync(world.configFile, 'utf8'), world.configFile);
  const generated = generateInbound(config, {
    listen: { kind: 'tcp', host: '127.0.0.1', port: 0 },
    app: { kind: 'tcp', host: '127.0.0.1', port: (app.address() as AddressInfo).port },
  });
  const envoy = await startEnvoy({ config: withAccessLog(generated, accessLog(world, 'inbound')) });
  t.after(async () => {
    await envoy.stop();
    app.close();
    app.closeAllConnections();
  });
  return gated(envoy);
}

const accessLog = ({ folder }: World, door: string): string => join(folder, `access-${door}.log`);

/** What was not answered well, with why; each answer has its request's id. */
function withAccessLog(bootstrap: string, path: string): string {
  const document = parse(bootstrap);
  const manager = document.static_resources.listeners[0].filter_chains[0].filters[0].typed_config;
  manager.always_set_request_id_in_response = true;
  manager.access_log = [
    ...(manager.access_log ?? []),
    {
      name: 'envoy.access_loggers.file',
      filter: {
        status_code_filter: {
          comparison: { op: 'GE', value: { default_value: 400, runtime_key: 'soak' } },
        },
      },
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog',
        path,
        log_format: {
          text_format_source: {
            inline_string:
              '%REQ(X-REQUEST-ID)% flags %RESPONSE_FLAGS%, %RESPONSE_CODE_DETAILS%, %UPSTREAM_TRANSPORT_FAILURE_REASON%, attempts %UPSTREAM_REQUEST_ATTEMPT_COUNT%, upstream %UPSTREAM_HOST%\n',
          },
        },
      },
    },
  ];
  return stringify(document);
}

function envoyOn(world: World, { door, requestId }: Sent): string {
  const path = accessLog(world, door);
  const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n') : [];
  const line = requestId && lines.find((one) => one.startsWith(requestId));
  return line ? line.slice(requestId.length + 1) : 'says nothing';
}

/**
 * Push shows nothing. Check, attempt and inbound: 503 of a request that was in flight in a stop, or began before it had ended plus a
 * second. Check cannot send the same request again: 401 until the revoked token was renewed.
 */
function isAllowed({ door, at, ms, status }: Sent, { stops, revocations }: Parts): boolean {
  if (door === 'push') return false;
  // Two clocks, one of whole milliseconds: a request that met the fault's begin seems to have ended just before it.
  const ended = at + ms + CLOCKS_MS;
  if (status === 503) return stops.some(({ from, to }) => ended >= from && at <= to + AFTER_MS);
  return (
    door === 'check' && status === 401 && revocations.some((when) => ended >= when && at <= when + AFTER_MS)
  );
}

function rssOf(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1_024;
}

function tally(sent: readonly Sent[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { door, status, told } of sent) {
    if (status === 200) continue;
    const key = `${door} ${status} ${told.slice(0, 60)}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

/**
 * The slope through the lowest values of ten stretches, without the first fifth, in which pools and code are made: what is
 * garbage comes and goes in between.
 */
function riseOf(memory: readonly number[]): { readonly mb: number; readonly mbPerHour: number } {
  const warm = memory.slice(Math.floor(memory.length / 5));
  const size = warm.length / 10;
  const floors = Array.from({ length: 10 }, (_, i) =>
    Math.min(...warm.slice(Math.floor(i * size), Math.floor((i + 1) * size))),
  );
  // Of all pairs the middle one (Theil and Sen): one odd stretch turns nothing.
  const slopes = floors.flatMap((late, j) => floors.slice(0, j).map((early, i) => (late - early) / (j - i)));
  const perStretch = median(slopes);
  return { mb: perStretch * 9, mbPerHour: perStretch / ((size * MEASURED_EVERY_MS) / 3_600_000) };
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
}
